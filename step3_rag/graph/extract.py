"""What an extractor gives: mentions and relations. And which names mean the same thing.

    >>> found = [Mention("Brightwell Components Ltd", "organisation", 1), Mention("Brightwell", "other", 2)]
    >>> Names(found).of("Brightwell")
    'Brightwell Components'

Two extractors fill these classes: rules (rules.py, the default: no model, the same result every time)
and the chat model (model.py). Both know the same few types and relations, so that nothing after them
has to care which one it was.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

TYPES = ("organisation", "person", "product", "place", "document", "other")

# Read as "source RELATION target". The document itself is a source too: by its name in the index.
RELATIONS = {
    "supplier": "document or product: who delivers or provides it",
    "customer": "document: who buys or receives under it",
    "subcontractor": "document: a firm that does a part of the work under it and is no party to it",
    "party": "document: who is a party to it, role unknown",
    "signed by": "document: a person who signed it",
    "owner": "document or thing: the person who is responsible for it",
    "covers": "document: a product or service that it is about",
    "part of": "a component: the product that contains or uses it",
    "amends": "document: the document that it changes or belongs to",
    "supersedes": "document: the older document that it replaces",
    "refers to": "document: another document that it names",
    "works for": "person: an organisation",
    "located at": "person or organisation: a place",
    "together": "two names in one sentence, nothing said of how they are related",
}

HAS_DIGIT = re.compile(r"\d")
# The tail of a firm's name that says only what kind of firm it is.
LEGAL_FORM = re.compile(
    r"[ ,]+(?:Ltd|Limited|LLC|LLP|Inc|Incorporated|Corp|Corporation|plc|PLC|GmbH|AG|KG|SE|SA|S\.A|BV|B\.V|NV|"
    r"N\.V|AB|AS|A/S|ApS|Oy|Oyj|Srl|S\.r\.l|SpA|S\.p\.A|SAS|Pty|Co|& Co)\b\.?"
)


@dataclass(frozen=True)
class Mention:
    """A name in a chunk, as it stands there."""

    name: str
    type: str
    chunk: int


@dataclass(frozen=True)
class Relation:
    """`source relation target`, and the chunk that says so."""

    source: str
    relation: str
    target: str
    chunk: int


@dataclass
class Extraction:
    """What was found in all chunks; `aliases` are names that are known to stand for another one."""

    extractor: str
    mentions: list[Mention] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    read: int = 0  # chunks
    failed: int = 0  # chunks of which nothing usable came back
    why: Counter[str] = field(default_factory=Counter)  # they failed


def key(name: str) -> str:
    """What two spellings of a name have in common.

    >>> key("Brightwell  Components, Ltd.") == key("the Brightwell Components")
    True
    """
    plain = LEGAL_FORM.sub("", re.sub(r"\s+", " ", name.replace("’", "'")).strip(" .,;:'\"()"))
    return re.sub(r"^the |'s$", "", plain.casefold())


class Names:
    """One name for each thing.

    A short form stands for the longer one when it is how exactly one longer name of its type begins
    (`Brightwell`), or how the name of exactly one person ends (`Vandermeer`), or of one product, with a code
    (`P60` of Strata P60). Where it could be two (`Strata`: Strata P40 or Strata P60) it stays a thing of its
    own; and an `Otter 300 Ex` is another pump than an `Otter 300`.
    """

    def __init__(self, mentions: Iterable[Mention], aliases: dict[str, str] | None = None) -> None:
        spellings: dict[str, Counter[str]] = defaultdict(Counter)
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        for each in mentions:
            spellings[key(each.name)][LEGAL_FORM.sub("", each.name).strip()] += 1
            votes[key(each.name)][each.type] += 1
        self._name = {one: most_common(counts) for one, counts in spellings.items()}
        self._type = {one: best_type(counts) for one, counts in votes.items()}
        self._same = {key(short): key(whole) for short, whole in (aliases or {}).items()}
        self._name |= {key(whole): whole for whole in (aliases or {}).values()}
        longer: dict[str, set[str]] = defaultdict(set)
        for one in self._name:
            words = one.split(" ")
            for end in range(1, len(words)):
                if not HAS_DIGIT.search(" ".join(words[:end])):
                    longer[" ".join(words[:end])].add(one)
            by_end = {"person": True, "product": bool(HAS_DIGIT.search(words[-1]))}
            if len(words) > 1 and by_end.get(self._type.get(one, ""), False):
                longer[words[-1]].add(one)
        self._same |= {
            short: whole[0]
            for short in self._name
            if len(whole := [one for one in sorted(longer[short]) if self._fit(short, one)]) == 1
            and short not in self._same
            and len(short) > 2
        }

    def _fit(self, short: str, whole: str) -> bool:
        types = {self._type.get(short, "other"), self._type.get(whole, "other")}
        return len(types) == 1 or self._type.get(short, "other") == "other"

    def of(self, name: str) -> str:
        """The one name of what is called so."""
        one, seen = key(name), set[str]()
        while one in self._same and one not in seen:
            seen.add(one)
            one = self._same[one]
        return self._name.get(one, name)

    def type_of(self, name: str) -> str:
        """The type that most mentions gave it."""
        return self._type.get(key(self.of(name)), "other")


def best_type(votes: Counter[str]) -> str:
    """The type with most votes; `other` says nothing, so any that does goes before it."""
    return max(votes, key=lambda each: (each != "other", votes[each], -TYPES.index(each)))


def most_common(counts: Counter[str]) -> str:
    """The most frequent; the longest of equally frequent ones."""
    return max(counts, key=lambda each: (counts[each], len(each), each))

"""What an extractor gives, mentions of names and relations between them, and which names mean the same thing.

    >>> found = [Mention("Brightwell Components Ltd", "organisation", 1), Mention("Brightwell", "other", 2)]
    >>> Resolver(found, {}).of("Brightwell")
    'Brightwell Components'

There are two extractors: rules (rules.py, the default: no model, the same result every time) and the chat
model (model.py). Both know the same few types and relations, so the code after them need not care.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from step3_rag.ingest.index import Chunk

TYPES = ("organisation", "person", "product", "place", "document", "other")
RELATIONS = {  # read as "source RELATION target"
    "supplier": "document or product: who delivers or provides it",
    "customer": "document: who buys or receives under it",
    "subcontractor": "document: a firm that does a part of the work under it and is no party to it",
    "signed by": "document: a person who signed it",
    "owner": "document or thing: the person who is responsible for it",
    "covers": "document: a product or service that it is about",
    "part of": "a component: the product that contains or uses it",
    "amends": "document: the document that it changes or belongs to",
    "supersedes": "document: the older document that it replaces",
    "refers to": "document: another document that it names",
    "works for": "person: an organisation",
    "located at": "person or organisation: a place",
}
TOGETHER = "together"  # two names in one sentence, nothing said of how they are related
REFERENCE = r"[A-Z]{1,5}-(?:19|20)\d\d-\d+[A-Z]?"  # AB-2025-03: a document's number
LEGAL_FORM = re.compile(  # the end of a firm's name that says only what kind of firm it is
    r"[ ,]+(?:Ltd|Limited|LLC|LLP|Inc|Incorporated|Corp|Corporation|plc|PLC|GmbH|AG|KG|SE|SA|S\.A|BV|B\.V|NV|"
    r"N\.V|AB|AS|A/S|ApS|Oyj?|Srl|S\.r\.l|SpA|S\.p\.A|SAS|Pty|Co|& Co)\b\.?"
)


class Mention(NamedTuple):
    """A name in a chunk, as it stands there."""

    name: str
    type: str
    chunk: int


class Relation(NamedTuple):
    """`source relation target`, and the chunk that says so. A document is called by its name in the index."""

    source: str
    relation: str
    target: str
    chunk: int


@dataclass
class Extraction:
    """What was found in all chunks."""

    extractor: str
    numbers: dict[str, str]  # of documents: their names in the index
    mentions: list[Mention] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    failed: int = 0  # chunks that gave nothing usable


def key(name: str) -> str:
    """What two spellings of a name have in common.

    >>> key("Brightwell  Components, Ltd.") == key("the Brightwell Components")
    True
    """
    plain = LEGAL_FORM.sub("", " ".join(name.replace("’", "'").split()).strip(" .,;:'\"()"))
    return re.sub(r"^the |'s$", "", plain.casefold())


def best_type(votes: Counter[str]) -> str:
    """The type with most votes; `other` loses against any other type."""
    return max(votes, key=lambda kind: (kind != "other", votes[kind], -TYPES.index(kind)))


def document_numbers(chunks: Sequence[Chunk]) -> dict[str, str]:
    """The documents by the number in their title or else their first line, but not after "to" or "of"."""
    found: dict[str, str] = {}
    for chunk in chunks:
        if chunk.place == 0:
            lines = (chunk.title, chunk.text.split("\n")[0])
            number = next((match for line in lines if (match := re.search(REFERENCE, line))), None)
            if number and not re.search(r"\b(?:to|of|under|with)\b", number.string[: number.start()]):
                found.setdefault(number[0], chunk.document)
    return found


class Resolver:
    """Entity resolution: one name for each thing.

    A short form stands for a longer name if it is the beginning of exactly one (`Brightwell`), or the end of
    exactly one person's (`Vandermeer`). `Strata` could be two products and stays a thing of its own; so does
    `Otter 300` beside `Otter 300 Ex`. A number stands for its document.
    """

    def __init__(self, mentions: Iterable[Mention], numbers: Mapping[str, str]) -> None:
        spellings: dict[str, Counter[str]] = defaultdict(Counter)
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        for name, kind, _ in mentions:
            spellings[key(name)][LEGAL_FORM.sub("", name).strip()] += 1
            votes[key(name)][kind] += 1
        self._name = {one: counts.most_common(1)[0][0] for one, counts in spellings.items()}
        self._type = {one: best_type(counts) for one, counts in votes.items()}
        longer: dict[str, set[str]] = defaultdict(set)
        for one, kind in self._type.items():
            words = one.split(" ")
            shorter = {" ".join(words[:end]) for end in range(1, len(words))}
            for short in shorter | ({words[-1]} if kind == "person" else set()):
                longer[short].add(one)
        self._same: dict[str, str] = {}
        for short, kind in self._type.items():
            whole = [one for one in longer[short] - {short} if kind in ("other", self._type[one])]
            if len(whole) == 1 and len(short) > 2 and not re.search(r"\d", short):
                self._same[short] = whole[0]
        for number, document in numbers.items():
            self._same[key(number)] = one = key(document)
            self._name[one], self._type[one] = document, "document"

    def of(self, name: str) -> str:
        """The one name of what is called so."""
        one = key(name)
        for _ in range(2):  # a short form of a name that stands for another
            one = self._same.get(one, one)
        return self._name.get(one, name)

    def type_of(self, name: str) -> str:
        """The type that most mentions gave it."""
        return self._type.get(key(self.of(name)), "other")

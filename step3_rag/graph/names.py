"""Names in running text, by their shape and the words around them: no model, no list of names.

    >>> find(["The supplier is Brightwell Components Ltd, which makes the Otter 300."])
    [[Name('Brightwell Components Ltd', 'organisation', 'supplier'), Name('Otter 300', 'other', '')]]
    >>> Resolver([Name("Brightwell Components", "organisation"), Name("Brightwell")], {}).of("Brightwell")
    'Brightwell Components'

Capitalised words in the middle of an English sentence are a name, with few exceptions; at its beginning,
words that are also written small are left out. The words beside a name say what it is (Hearst 1992), and all
mentions of a name vote on its type. It misses names that are written small and gets some types wrong.
"""

from __future__ import annotations

import re
from calendar import day_name, month_name
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from step3_rag.ingest.chunk import sentences
from step3_rag.ingest.stems import STOP_WORDS

TYPES = ("organisation", "person", "document", "other")
REFERENCE = r"[A-Z]{1,5}-(?:19|20)\d\d-\d+[A-Z]?"  # AB-2025-03: a document's number
LEGAL_FORM = re.compile(  # the end of a firm's name that says only what kind of firm it is
    r"[ ,]+(?:Ltd|Limited|LLC|LLP|Inc|Incorporated|Corp|Corporation|plc|PLC|GmbH|AG|KG|SE|SA|S\.A|BV|B\.V|NV|"
    r"N\.V|AB|AS|A/S|ApS|Oyj?|Srl|S\.r\.l|SpA|S\.p\.A|SAS|Pty|Co|& Co)\b\.?"
)
SUPPLIER = r"(?i:supplier|vendor|provider|seller|contractor|manufacturer|processor|carrier)"
CUSTOMER = r"(?i:customer|client|buyer|purchaser|controller|subscriber)"
BEFORE = r"\b%s(?: is| are|:|,)? "  # "the supplier is X"
AFTER = r",? ?\(?(?:as |the |our )*[\"“]?%s\b(?!['’]s)"  # 'X (the "Supplier")'
MADE_BY = r"\b(?:supplied|delivered|made|manufactured|produced|sold|provided|hosted|arranged|carried out) by "
JOB = (
    r"\b(?:[Hh]ead of|[Cc]hief|[Dd]irector|[Mm]anager|[Oo]fficer|[Cc]ounsel|[Pp]resident|[Ee]ngineer|[Ll]ead|"
    r"C[EFT]O)\b"
)
SIGNED = r"(?:\b[Ss]igned\b|(?:^|[.;] )For [A-Z][^:]+:)(?:.*(?:by|and|[,:;]))? "
PERSON = r"[^\d ]+(?: [^\d ]+){1,3}"  # two to four words

# What a name is: type, what it is to its document, and patterns of the name itself, of the words before it
# and of those after. The first that fits counts.
CUES = [
    ("document", "amends", REFERENCE, r"\b(?i:amendment|addendum|annex)\b.* to .*|\bchanges the .*", ""),
    ("document", "refers to", REFERENCE, "", ""),
    ("organisation", "customer", ".*", BEFORE % CUSTOMER, ""),
    ("organisation", "supplier", ".*", BEFORE % SUPPLIER, ""),
    ("organisation", "customer", ".*", "", AFTER % CUSTOMER),
    ("organisation", "supplier", ".*", "", AFTER % SUPPLIER),
    ("organisation", "subcontractor", ".*", MADE_BY, ""),
    ("organisation", "", rf".*{LEGAL_FORM.pattern}", "", ""),
    ("person", "signed by", PERSON, SIGNED, ""),
    ("person", "owner", PERSON, rf"\b(?:[Oo]wner|Author|Contacts?): |\b[Pp]repared by |{JOB}(?: is|,) ", ""),
    ("person", "", PERSON, rf"{JOB}[\w ]{{0,24}}(?:,| is|:) |\b(?:Mr|Mrs|Ms|Dr)\.? |\b[Nn]ame: ", ""),
    ("person", "", PERSON, "", rf", (?:[\w']+ ){{0,4}}{JOB}"),
]
# Capitalised, and yet no name, wherever they stand; months and days are not either.
NO_NAME = """the this that these i a an and or no mr mrs ms dr eur gbp usd clause section table figure annex
    appendix chapter article level step phase part page version english german french polish pdf html csv"""
NO_CAPITAL = "|".join([*month_name[1:], *day_name, *NO_NAME.split()])
CAPITAL = rf"(?!(?i:{NO_CAPITAL})\b|{REFERENCE})[A-ZÀ-ÖØ-ÞĀ-Ž][\w’'-]*(?:/[A-Z]\w*)?"
MORE = rf" (?:(?:&|van|von|de|der|da|del|la) )*{CAPITAL}| \d+[A-Z]?\b(?!\.\d)"
RUN = re.compile(rf"(?<![\w-])(?:{REFERENCE}|{CAPITAL}(?:{MORE}){{0,4}})")
CELL = re.compile(r"(?:^|, )[A-Za-z][\w ]{1,30}: ")


class Name(NamedTuple):
    """A mention of a name, with its type and what it is to the document."""

    text: str
    type: str = "other"
    relation: str = ""
    in_row: bool = False  # of a table: `column: value, column: value`


def key(name: str) -> str:
    """What two spellings of a name have in common.

    >>> key("Brightwell  Components, Ltd.") == key("the Brightwell Components")
    True
    """
    plain = LEGAL_FORM.sub("", " ".join(name.replace("’", "'").split()).strip(" .,;:'\"()"))
    return re.sub(r"^the |'s$", "", plain.casefold())


def find(texts: Sequence[str]) -> list[list[Name]]:
    """The names in each text; where the mentions of a name differ in type, most count."""
    small = {word for text in texts for word in re.findall(r"\b[a-zß-ÿ][\w-]*", text)}
    ordinary = {*STOP_WORDS.split(), *small}
    found = [[name for line in _lines(text) for name in _names(line, ordinary)] for text in texts]
    types = _types(name for names in found for name in names)
    return [
        [
            name
            if name.type == types[key(name.text)]
            else name._replace(type=types[key(name.text)], relation="")
            for name in names
        ]
        for names in found
    ]


def _types(names: Iterable[Name]) -> dict[str, str]:
    """The type with most votes for each name's key; `other` loses against any other type."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for name in names:
        votes[key(name.text)][name.type] += 1
    return {
        one: max(counts, key=lambda kind: (kind != "other", counts[kind], -TYPES.index(kind)))
        for one, counts in votes.items()
    }


def _lines(text: str) -> Iterator[str]:
    """Sentences, headings, items and rows, without Markdown's marks but for the hyphen of a row."""
    for start, end in sentences(text):
        raw = re.sub(r"\n {4,}(?=\S)", "; ", text[start:end])  # a block of signatures
        yield " ".join(re.sub(r"[*`|]+|^\s*(?:#+|[+]|\d+[.)])\s+", "", raw).split())


def _names(line: str, ordinary: set[str]) -> Iterator[Name]:
    """The names in a sentence or row; `ordinary` words are also written small."""

    def is_ordinary(word: str) -> bool:
        return word.isdigit() or re.sub(r"['’]s?$", "", word).lower() in ordinary

    text = line.removeprefix("- ")
    in_row = text != line and len(CELL.findall(text)) > 1
    for run in RUN.finditer(text):
        words, end = run[0].split(" "), run.end()
        if re.search(r"(?:^|[:.|(;\"“] ?)$", text[: run.start()]):  # the beginning of a sentence
            while words and is_ordinary(words[0]):
                words = words[1:]
        name = re.sub(r"['’]s?$", "", " ".join(words))
        if not all(map(is_ordinary, words)) and not re.search(JOB, name):
            start = end - len(" ".join(words))
            yield Name(name, *_cue(name, text[:start], text[start + len(name) :]), in_row)


def _cue(name: str, before: str, after: str) -> tuple[str, str]:
    """Type and relation of a name by the words beside it."""
    for kind, relation, itself, left, right in CUES:
        if re.fullmatch(itself, name) and re.search(f"(?:{left})$", before) and re.match(right, after):
            return kind, relation
    return "other", ""


class Resolver:
    """Entity resolution: one name for each thing.

    A short form stands for a longer name if it is the beginning of exactly one (`Brightwell`), or the end of
    exactly one person's (`Vandermeer`). `Strata` could be two and stays a thing of its own; so does
    `Otter 300` beside `Otter 300 Ex`. A number stands for its document.
    """

    def __init__(self, names: Sequence[Name], numbers: Mapping[str, str]) -> None:
        spellings: dict[str, Counter[str]] = defaultdict(Counter)
        for name in names:
            spellings[key(name.text)][LEGAL_FORM.sub("", name.text).strip()] += 1
        self._name = {one: counts.most_common(1)[0][0] for one, counts in spellings.items()}
        types, longer = _types(names), defaultdict[str, set[str]](set)
        for one, kind in types.items():
            words = one.split(" ")
            shorter = {" ".join(words[:end]) for end in range(1, len(words))}
            for short in shorter | ({words[-1]} if kind == "person" else set()):
                longer[short].add(one)
        self._same: dict[str, str] = {}
        for short, kind in types.items():
            whole = [one for one in longer[short] - {short} if kind in ("other", types[one])]
            if len(whole) == 1 and len(short) > 2 and not re.search(r"\d", short):
                self._same[short] = whole[0]
        for number, document in numbers.items():
            self._same[key(number)] = one = key(document)
            self._name[one] = document

    def of(self, name: str) -> str:
        """The one name of what is called so."""
        one = key(name)
        for _ in range(2):  # a short form of a name that stands for another
            one = self._same.get(one, one)
        return self._name.get(one, name)

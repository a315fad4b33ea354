"""Extract who supplies whom, by rules about the words beside a firm's name; no model, no list of names.

    >>> extract(chunks)[:2]
    [Relation('contracts/pumps.md', 'supplier', 'Brightwell Components', 3),
     Relation('contracts/pumps.md', 'customer', 'Harbour Works', 3)]

Patterns such as "the supplier is X", "X, the buyer" or "made by X" say what a name is (Hearst 1992). The
rules work for agreements of any firm, in English.
"""

import re
from calendar import day_name, month_name
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from shared.sentences import sentences
from step3_rag.ingest.index import Chunk
from step3_rag.ingest.stems import STOP_WORDS

AGREEMENT = re.compile(r"\b(?i:agreement|contract|framework|terms|amendment|addendum|lease|subscription)\b")
REFERENCE = r"[A-Z]{1,5}-(?:19|20)\d\d-\d+[A-Z]?"  # AB-2025-03: a document's number
LEGAL_FORM = re.compile(  # at the end of a firm's name
    r"[ ,]+(?:Ltd|Limited|LLC|LLP|Inc|Incorporated|Corp|Corporation|plc|PLC|GmbH|AG|KG|SE|SA|S\.A|BV|B\.V|NV|"
    r"N\.V|AB|AS|A/S|ApS|Oyj?|Srl|S\.r\.l|SpA|S\.p\.A|SAS|Pty|Co|& Co)\b\.?"
)
# A firm's name: up to five capitalized words, without words like "The" that begin a sentence.
NO_NAME = "|".join([*STOP_WORDS.split(), *month_name[1:], *day_name, "between", "each", "either", "unless"])
WORD = rf"(?!(?i:{NO_NAME})\b|{REFERENCE})[A-ZÀ-ÖØ-ÞĀ-Ž][\w’-]*"
FIRM = rf"({WORD}(?: (?:(?:&|of|de|van|von) )?{WORD}){{0,4}}(?:{LEGAL_FORM.pattern})?)"
ROLES = {
    "supplier": "supplier|vendor|provider|seller|contractor|manufacturer|processor|carrier",
    "customer": "customer|client|buyer|purchaser|controller|subscriber",
}
OPPOSITE = {"supplier": "customer", "customer": "supplier"}
STATED = {
    role: re.compile(
        rf"\b(?i:{words})(?: is| are|:|,)? {FIRM}"  # "the supplier is X"
        rf"|{FIRM}(?:,? \((?:the )?|, (?:as |the |our )*| as (?:the )?)[\"“]?(?i:{words})\b(?!['’]s)"
    )
    for role, words in ROLES.items()
}
STATED["subcontractor"] = re.compile(
    rf"\b(?:supplied|delivered|made|manufactured|produced|sold|provided|hosted|arranged|carried out) "
    rf"by {FIRM}"
)
CELL = re.compile(r"(?:^|, )[A-Za-z][\w ]{1,30}: ")  # of a table's row: `column: value, column: value`


class Relation(NamedTuple):
    """`source relation target`, such as `contracts/pumps.md supplier Brightwell`."""

    source: str  # a document's name in the index
    relation: str  # supplier, customer or subcontractor
    target: str  # a firm
    chunk: int  # the chunk that states it


def key(name: str) -> str:
    """A name's key, which is the same for different spellings.

    >>> key("Brightwell  Components, Ltd.") == key("the Brightwell Components")
    True
    """
    plain = LEGAL_FORM.sub("", " ".join(name.replace("’", "'").split()).strip(" .,;:'\"()"))
    return re.sub(r"^the |'s$", "", plain.casefold())


def extract(chunks: Sequence[Chunk]) -> list[Relation]:
    """The relations that agreements state; `chunks` are sorted by document."""
    documents = [list(parts) for _, parts in groupby(chunks, lambda chunk: chunk.document)]
    agreements = [parts for parts in documents if AGREEMENT.search(f"{parts[0].title} {parts[0].text[:200]}")]
    stated: list[Relation] = []
    for parts in agreements:
        stated += _stated(parts)
    names = one_names(relation.target for relation in stated)
    relations = [relation._replace(target=names[key(relation.target)]) for relation in stated]
    firms = {relation.target for relation in relations if relation.relation in OPPOSITE}
    for parts in agreements:
        own = [relation for relation in relations if relation.source == parts[0].document]
        relations += _other_party(parts, own, firms)
    return relations


def one_names(spellings: Iterable[str]) -> dict[str, str]:
    """Entity resolution: one name for each firm, by the `key` of every spelling.

    A short form (`Brightwell`) stands for the longer name that begins with it, if there is exactly one.
    """
    names: dict[str, str] = {}
    for name in spellings:
        names.setdefault(key(name), LEGAL_FORM.sub("", name).strip())
    for short in list(names):
        longer = [one for one in names if one.startswith(f"{short} ")]
        if len(longer) == 1:
            names[short] = names[longer[0]]
    return names


def document_number(first: Chunk) -> str:
    """The number in a document's title or first line, unless it follows "to" or "of"; "" if there is none."""
    for line in (first.title, first.text.split("\n")[0]):
        if number := re.search(REFERENCE, line):
            return "" if re.search(r"\b(?:to|of|under|with)\b", line[: number.start()]) else number[0]
    return ""


def _stated(parts: Sequence[Chunk]) -> Iterator[Relation]:
    """The parties of an agreement, each as first stated, and all subcontractors."""
    known = set[str]()
    for chunk in parts:
        for line in _lines(chunk.text):
            for role, pattern in STATED.items():
                for match in pattern.finditer(line):
                    if role not in known:
                        yield Relation(chunk.document, role, next(filter(None, match.groups())), chunk.id)
                    if role in OPPOSITE:
                        known.add(role)


def _lines(text: str) -> Iterator[str]:
    """Sentences without line breaks and Markdown marks; without table rows, which list other agreements."""
    for start, end in sentences(text):
        line = " ".join(re.sub(r"[*`|]+", "", text[start:end]).split())
        if not line.startswith("- ") or len(CELL.findall(line[2:])) < 2:
            yield line


def _other_party(
    parts: Sequence[Chunk], own: Sequence[Relation], firms: Collection[str]
) -> Iterator[Relation]:
    """If only one party is stated: the other is the first firm in the text known from other agreements."""
    parties = [relation for relation in own if relation.relation in OPPOSITE]
    if len(parties) != 1:
        return
    for chunk in parts:
        text = " ".join(chunk.text.split())
        named = [(text.index(firm), firm) for firm in firms if firm in text and firm != parties[0].target]
        if named:
            yield Relation(chunk.document, OPPOSITE[parties[0].relation], min(named)[1], chunk.id)
            return

"""Relations by rules: what a name is to its document, by the words beside it (names.py). No model.

    >>> extract(chunks).relations[:2]
    [Relation('contracts/pumps.md', 'supplier', 'Brightwell Components', 3),
     Relation('contracts/pumps.md', 'signed by', 'Lucinda Farrow', 5)]

The rules read contracts and policies of any firm, if they are in English; they know no names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from step3_rag.graph.names import REFERENCE, Name, Resolver, find, key
from step3_rag.ingest.index import Chunk

AGREEMENT = re.compile(r"\b(?i:agreement|contract|framework|terms|amendment|addendum|lease|subscription)\b")
IN_AGREEMENTS = ("supplier", "customer", "subcontractor", "signed by")  # elsewhere such words say nothing
OPPOSITE = {"supplier": "customer", "customer": "supplier"}


class Relation(NamedTuple):
    """`source relation target`, and the chunk that says so. A document is called by its name in the index."""

    source: str
    relation: str
    target: str
    chunk: int


@dataclass
class Extraction:
    """What was found in all chunks."""

    numbers: dict[str, str]  # of documents: their names in the index
    nodes: dict[str, str] = field(default_factory=dict)  # the one name of each spelling, by its key
    relations: list[Relation] = field(default_factory=list)


def extract(chunks: Sequence[Chunk]) -> Extraction:
    """Names and relations in the chunks of an index, those of a document one after another."""
    found = Extraction(document_numbers(chunks))
    by_chunk = find([chunk.text for chunk in chunks])
    all_names = [name for names in by_chunk for name in names]
    resolver = Resolver(all_names, found.numbers)
    for name in all_names:
        found.nodes.setdefault(key(name.text), resolver.of(name.text))
    read = list(zip(chunks, by_chunk, strict=True))
    for _, parts in groupby(read, lambda each: each[0].document):
        found.relations += _of_document(list(parts), resolver)
    for source, _, amended, chunk in [each for each in found.relations if each.relation == "amends"]:
        roles = [each for each in found.relations if each.source == amended and each.relation in OPPOSITE]
        found.relations += [Relation(source, each.relation, each.target, chunk) for each in roles]
    return found


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


def _of_document(parts: Sequence[tuple[Chunk, list[Name]]], resolver: Resolver) -> Iterator[Relation]:
    """What a document's sentences state. Of the two parties of an agreement one may have no role in words."""
    first = parts[0][0]
    is_agreement = bool(AGREEMENT.search(f"{first.title} {first.text[:200]}"))
    roles, firms = dict[str, str](), dict[str, int]()
    for chunk, names in parts:
        for name in names:
            one, is_party = resolver.of(name.text), name.relation in IN_AGREEMENTS
            if name.relation and (not is_party or (is_agreement and not name.in_row)):
                yield Relation(first.document, name.relation, one, chunk.id)
                if name.relation in OPPOSITE:
                    roles[one] = name.relation
            if name.type == "organisation":
                firms.setdefault(one, chunk.id)
    for firm, chunk_id in list(firms.items())[:2]:
        if is_agreement and len(roles) == 1 and firm not in roles:
            yield Relation(first.document, OPPOSITE[next(iter(roles.values()))], firm, chunk_id)

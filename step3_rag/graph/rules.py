"""Relations by rules: patterns over the words beside a name (names.py) and between two names. No model.

    >>> extract(chunks).relations[:2]
    [Relation('contracts/pumps.md', 'supplier', 'Brightwell Components', 3),
     Relation('Otter 300', 'part of', 'Harbour Crane 9', 5)]

The rules read contracts and policies of any firm, if they are in English; they know no names. Two names in
one sentence or row are at least `together`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby

from step3_rag.graph.extract import TOGETHER, Extraction, Mention, Relation, Resolver, document_numbers
from step3_rag.graph.names import MADE_BY, Sentence, find
from step3_rag.ingest.index import Chunk

NAME = "rules"
AGREEMENT = re.compile(r"\b(?i:agreement|contract|framework|terms|amendment|addendum|lease|subscription)\b")
IN_AGREEMENTS = ("supplier", "customer", "subcontractor", "signed by")  # elsewhere such words say nothing
OPPOSITE = {"supplier": "customer", "customer": "supplier"}
MAKES = r"\b(?:suppl(?:y|ies)|delivers?|makes?|manufactures?|produces?|sells?|provides?|hosts?|builds?)\b"
# What the words between two names say: type of the first ("" for any), words, type of the second, relation
# from the first to the second, or (<) back. In a row of a table the words are `column: value, column: `.
BETWEEN = [
    ("product", r"\b(?:(?:used|built|fitted|installed) (?:in|into|for|on)|part of)\b", "product", "part of"),
    ("organisation", rf"{MAKES}(?!.*\bfor\b)", "product", "<supplier"),
    ("product", rf"{MADE_BY}|\bfrom $", "organisation", "supplier"),
    ("person", r"^(?:, [^;:]{2,40})?,? (?:for|of|at) $|^, $", "organisation", "works for"),
    ("organisation", r"^: $|^'s? [\w ,]{4,40}, $", "person", "<works for"),
    ("person", r"\b(?:site|office): $", "place", "located at"),
    ("person", r"\b(?:responsible.for|accounts?): [^:]*$", "", "<owner"),
    ("", r"\b(?:fits|used.in): [^:]*$", "product", "part of"),
]
MOST = 8  # names of a sentence that are taken in pairs


def extract(chunks: Sequence[Chunk]) -> Extraction:
    """Mentions and relations in the chunks of an index, those of a document one after another."""
    found = Extraction(NAME, document_numbers(chunks))
    read = list(zip(chunks, find([chunk.text for chunk in chunks]), strict=True))
    for chunk, sentences in read:
        names = [name for sentence in sentences for name in sentence.names]
        found.mentions += [Mention(name.text, name.type, chunk.id) for name in names]
    resolver = Resolver(found.mentions, found.numbers)
    for _, parts in groupby(read, lambda each: each[0].document):
        found.relations += _of_document(list(parts), resolver)
    for source, _, amended, chunk in [each for each in found.relations if each.relation == "amends"]:
        roles = [each for each in found.relations if each.source == amended and each.relation in OPPOSITE]
        found.relations += [Relation(source, each.relation, each.target, chunk) for each in roles]
    return found


def _of_document(parts: Sequence[tuple[Chunk, list[Sentence]]], names: Resolver) -> Iterator[Relation]:
    """What a document's sentences state. Of the two parties of an agreement one may have no role in words."""
    first = parts[0][0]
    is_agreement = bool(AGREEMENT.search(f"{first.title} {first.text[:200]}"))
    roles, firms = dict[str, str](), dict[str, int]()
    for chunk, sentences in parts:
        for sentence in sentences:
            for each in _stated(chunk, sentence, names, is_agreement):
                if each.source == chunk.document and each.relation in OPPOSITE:
                    roles[each.target] = each.relation
                yield each
            for name in sentence.names:
                if names.type_of(name.text) == "organisation":
                    firms.setdefault(names.of(name.text), chunk.id)
    for firm, chunk_id in list(firms.items())[:2]:
        if is_agreement and len(roles) == 1 and firm not in roles:
            yield Relation(first.document, OPPOSITE[next(iter(roles.values()))], firm, chunk_id)


def _stated(chunk: Chunk, sentence: Sentence, names: Resolver, is_agreement: bool) -> Iterator[Relation]:
    """What a sentence states of its document, and of its names."""
    here = [(name, names.of(name.text), names.type_of(name.text)) for name in sentence.names[:MOST]]
    for name, one, _ in here:
        is_party = name.relation in IN_AGREEMENTS
        if name.relation and (not is_party or (is_agreement and not sentence.is_row)):
            yield Relation(chunk.document, name.relation, one, chunk.id)
    for (a, one, kind), (b, other, other_kind) in combinations(here, 2):
        # In "A for the B and for the C" the words between B and C are about A.
        words = re.split(r";|\band (?:for|in|into|on)\b", sentence.text[a.end : b.start])[0]
        fits = (
            relation
            for first, pattern, second, relation in BETWEEN
            if first in ("", kind) and second in ("", other_kind) and re.search(pattern, words)
        )
        relation = next(fits, TOGETHER)
        ends = (other, one) if relation.startswith("<") else (one, other)
        yield Relation(ends[0], relation.lstrip("<"), ends[1], chunk.id)

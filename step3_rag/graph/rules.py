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

from step3_rag.graph.extract import TOGETHER, Extraction, Mention, Relation, Resolver
from step3_rag.graph.names import MADE_BY, REFERENCE, Sentence, find
from step3_rag.ingest.index import Chunk

NAME = "rules"
AGREEMENT = re.compile(r"\b(?i:agreement|contract|framework|terms|amendment|addendum|lease|subscription)\b")
IN_AGREEMENTS = ("supplier", "customer", "subcontractor", "signed by")  # elsewhere such words say nothing
OPPOSITE = {"supplier": "customer", "customer": "supplier"}
MAKES = r"\b(?:suppl(?:y|ies)|delivers?|makes?|manufactures?|produces?|sells?|provides?|hosts?|builds?)\b"
OWN = re.compile(rf"(?:(?!\b(?:to|of|under|with)\b).)*?({REFERENCE})")
# What the words between two names say: type of the first ("" for any), words, type of the second, relation
# from the first to the second, or (<) back. In a row of a table the words are `column: value, column: `.
BETWEEN = [
    ("product", r"\b(?:used|built|fitted|installed|mounted) (?:in|into|for|on)\b", "product", "part of"),
    ("product", r"\bpart of\b|\bfor (?:the|our)\b", "product", "part of"),
    ("product", r"\b(?:contains?|is (?:built|equipped) with)\b", "product", "<part of"),
    ("organisation", rf"{MAKES}(?!.*\bfor\b)", "product", "<supplier"),
    ("product", rf"{MADE_BY}|\bfrom $", "organisation", "supplier"),
    ("person", r"^(?:, [^;:]{2,40})?,? (?:for|of|at) $|^, $", "organisation", "works for"),
    ("organisation", r"^: $|^'s? [\w ,]{4,40}, $", "person", "<works for"),
    ("organisation", r"^(?:['’]s? [\w ]{2,30})? (?:at|in|near|is in) $", "place", "located at"),
    ("person", r"\b(?:site|office): $", "place", "located at"),
    ("person", r"\b(?:responsible.for|accounts?): [^:]*$", "", "<owner"),
    ("", r"\b(?:fits|used.in): [^:]*$", "product", "part of"),
]
MOST = 8  # names of a sentence that are taken in pairs


def extract(chunks: Sequence[Chunk]) -> Extraction:
    """Mentions and relations in the chunks of an index, those of a document one after another."""
    found = Extraction(NAME)
    by_chunk = dict(zip((chunk.id for chunk in chunks), find([chunk.text for chunk in chunks]), strict=True))
    for chunk in chunks:
        if number := own_number(chunk):
            found.numbers.setdefault(number, chunk.document)
        names = [name for sentence in by_chunk[chunk.id] for name in sentence.names]
        found.mentions += [Mention(name.text, name.type, chunk.id) for name in names]
    resolver = Resolver(found.mentions, found.numbers)
    for _, parts in groupby(chunks, lambda chunk: chunk.document):
        found.relations += _of_document([(chunk, by_chunk[chunk.id]) for chunk in parts], resolver)
    for source, _, amended, chunk in [each for each in found.relations if each.relation == "amends"]:
        roles = [each for each in found.relations if each.source == amended and each.relation in OPPOSITE]
        found.relations += [Relation(source, each.relation, each.target, chunk) for each in roles]
    return found


def own_number(chunk: Chunk) -> str | None:
    """The number that a document bears: in its title or first line, but not after "to" or "of"."""
    for text in (chunk.title, chunk.text.split("\n")[0]) if chunk.place == 0 else ():
        if re.search(REFERENCE, text):
            own = OWN.match(text)
            return own[1] if own else None
    return None


def _of_document(parts: Sequence[tuple[Chunk, list[Sentence]]], names: Resolver) -> list[Relation]:
    """What a document's sentences state. Of the two parties of an agreement one may have no role in words."""
    first = parts[0][0]
    is_agreement = bool(AGREEMENT.search(f"{first.title} {first.text[:200]}"))
    stated, firms = list[Relation](), dict[str, int]()
    for chunk, sentences in parts:
        for sentence in sentences:
            stated += _stated(first.document, chunk.id, sentence, names, is_agreement)
            for name in sentence.names:
                if names.type_of(name.text) == "organisation":
                    firms.setdefault(names.of(name.text), chunk.id)
    ours = [each for each in stated if each.source == first.document and each.relation in OPPOSITE]
    roles = {each.target: each.relation for each in ours}
    for firm, chunk_id in list(firms.items())[:2]:
        if is_agreement and len(roles) == 1 and firm not in roles:
            stated.append(Relation(first.document, OPPOSITE[next(iter(roles.values()))], firm, chunk_id))
    return stated


def _stated(
    document: str, chunk: int, sentence: Sentence, names: Resolver, is_agreement: bool
) -> Iterator[Relation]:
    """What a sentence states of its document, and of its names."""
    here = [(name, names.of(name.text), names.type_of(name.text)) for name in sentence.names[:MOST]]
    triples = list[tuple[str, str, str]]()
    for name, one, kind in here:
        is_party = name.relation in IN_AGREEMENTS
        if name.relation and kind == name.type and (not is_party or (is_agreement and not sentence.is_row)):
            triples.append((document, name.relation, one))
    for (a, one, kind), (b, other, other_kind) in combinations(here, 2):
        # In "A for the B and for the C" the words between B and C are about A.
        words = re.split(r";|\band (?:for|in|into|on)\b", sentence.text[a.end : b.start])[0]
        fits = (
            relation
            for first, pattern, second, relation in BETWEEN
            if first in ("", kind) and second in ("", other_kind) and re.search(pattern, words)
        )
        triples.append((one, next(fits, TOGETHER), other))
    for source, relation, target in triples:
        if relation.startswith("<"):
            source, relation, target = target, relation[1:], source
        if source != target:
            yield Relation(source, relation, target, chunk)

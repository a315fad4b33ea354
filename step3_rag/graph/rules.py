"""Relations between names by the words between them: the extractor that needs no model.

    >>> extract(chunks).relations[:2]
    [Relation('contracts/pumps.md', 'supplier', 'Brightwell Components', 3),
     Relation('Otter 300', 'part of', 'Harbour Crane 9', 5)]

Each rule is a pattern over the words between two names, and the types that the two must have. The rules read
contracts, policies and tables of any firm, as long as they are in English; they know no names. What no rule
reads is at least `together` in its sentence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby

from step3_rag.graph.extract import Extraction, Mention, Names, Relation
from step3_rag.graph.names import JOB, REFERENCE, Name, Sentence, column, find
from step3_rag.graph.parties import Paper, inherit, own_number, read_parties, role_of
from step3_rag.ingest.index import Chunk

Triple = tuple[str, str, str]  # source, relation, target
Typed = tuple[Name, str, str]  # as it stands there, the one name, its type

MAKES = r"(?:suppl(?:y|ies)|delivers?|makes?|manufactures?|produces?|sells?|provides?|hosts?|builds?)"
MADE = (
    r"(?:supplied|delivered|made|manufactured|produced|sold|provided|hosted|built|arranged|performed|"
    r"carried out)"
)
# Two names of these types with these words between them: relation, and whether the second is its source.
BETWEEN = [
    (
        "product",
        "product",
        r"\b(?:used|built|fitted|installed|mounted) (?:in|into|for|on)\b",
        "part of",
        False,
    ),
    ("product", "product", r"\bpart of\b|\bfor (?:the|our)\b|\bgoes into\b", "part of", False),
    ("product", "product", r"\b(?:contains?|uses|is built with|is equipped with)\b", "part of", True),
    ("product", "product", r"\b(?:replaces|supersedes|succeeds)\b", "supersedes", False),
    ("product", "product", r"\b(?:replaced|superseded) by\b", "supersedes", True),
    ("organisation", "product", rf"\b{MAKES}\b", "supplier", True),
    ("product", "organisation", rf"\b{MADE} by\b|\bfrom $", "supplier", False),
    ("person", "organisation", r"^(?:, [^;:]{2,40})?,? (?:for|of|at) $|^, $", "works for", False),
    ("organisation", "person", r"^: $|^'s? [\w ,]{4,40}, $", "works for", True),
    ("organisation", "place", r"^(?:['’]s? [\w ]{2,30})? (?:at|in|near|is in) $", "located at", False),
]
COLUMN = {  # of a table: what a value there is to the row's first name
    "located at": r"\b(?:site|place|city|location|office|plant)\b",
    "part of": r"\bused in\b|\bfits\b|\bfor product\b|\bbuilt into\b",
}
NUMBER = [  # a document's number with these words before it; the second: whether that document is the source
    (r"\b(?:superseded|replaced)\b.*\bby\b", "supersedes", True),
    (r"\b(?:replaces|supersedes)\b", "supersedes", False),
    (
        r"\b(?:amendment|addendum|appendix|annex|supplement)\b.* to |\bamends\b|\bchanges the\b",
        "amends",
        False,
    ),
    ("", "refers to", False),
]
MOST = 8  # names of a sentence that are taken in pairs


def extract(chunks: Sequence[Chunk]) -> Extraction:
    """Mentions and relations in the chunks of an index, those of a document one after another."""
    found = Extraction("rules", read=len(chunks))
    papers: list[Paper] = []
    by_chunk = find([chunk.text for chunk in chunks])
    for document, group in groupby(zip(chunks, by_chunk, strict=True), lambda pair: pair[0].document):
        pairs = list(group)
        lines = [(chunk.id, sentence) for chunk, part in pairs for sentence in part]
        papers.append(Paper(document, pairs[0][0].title, lines))
    for paper in papers:
        number = own_number(paper)
        if number:
            found.aliases.setdefault(number, paper.name)
        for chunk, sentence in paper.sentences:
            found.mentions += [Mention(name.text, name.type, chunk) for name in sentence.names]
    names = Names(found.mentions, found.aliases)
    titles = {_words(paper.title): paper.name for paper in papers if " " in _words(paper.title)}
    for paper in papers:
        read_parties(paper, names)
        for chunk, triple in _of_paper(paper, names, titles):
            if triple[0] != triple[2]:
                found.relations.append(Relation(*triple, chunk))
    inherit(papers, found.relations)
    for paper in papers:
        found.relations += [
            Relation(paper.name, role, firm, paper.evidence[firm]) for firm, role in paper.parties.items()
        ]
    return found


def _words(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()


def _of_paper(paper: Paper, names: Names, titles: dict[str, str]) -> Iterator[tuple[int, Triple]]:
    """What a document's sentences state, with the chunk."""
    before: str | None = None  # the product that was named last
    for chunk, sentence in paper.sentences:
        here = [(name, names.of(name.text), names.type_of(name.text)) for name in sentence.names[:MOST]]
        triples = [*_documents(paper, sentence, names, titles), *_roles(paper, sentence, here)]
        if sentence.is_row:
            triples += _row(sentence, names)
        else:
            triples += [*_pairs(sentence, here), *_continued(sentence, here, before)]
        yield from ((chunk, triple) for triple in triples)
        products = [one for _, one, kind in here if kind == "product"]
        before = products[-1] if products else before


def _documents(paper: Paper, sentence: Sentence, names: Names, titles: dict[str, str]) -> Iterator[Triple]:
    """Other documents, by their number or title."""
    for number in REFERENCE.finditer(sentence.text):
        other = names.of(number[0])
        for words, relation, is_source in NUMBER:
            if re.search(words, sentence.text[: number.start()], re.I):
                yield (other, relation, paper.name) if is_source else (paper.name, relation, other)
                break
    text = f" {_words(sentence.text)} "
    for title, other in titles.items():
        if f" {title} " in text:
            yield paper.name, "refers to", other


def _roles(paper: Paper, sentence: Sentence, here: list[Typed]) -> Iterator[Triple]:
    """What people, firms and products are to the document that the sentence stands in."""
    is_signature = re.search(r"\b[Ss]igned\b|\bFor [A-Z][^:]+: ", sentence.text) is not None
    supplier = next((firm for firm, role in paper.parties.items() if role == "supplier"), None)
    for name, one, kind in here:
        text = sentence.text[: name.start]
        if kind == "person" and is_signature and paper.parties:
            yield paper.name, "signed by", one
        elif kind == "person" and re.search(
            rf"\b(?:Owner|Author|Contacts?): $|\b[Pp]repared by $|{JOB}(?: is|,) $", text
        ):
            yield paper.name, "owner", one
        if not paper.parties or one in paper.parties:
            continue
        if kind == "organisation" and re.search(rf"\b{MADE} by $", text):
            yield paper.name, "subcontractor", one
        if kind == "product" and re.search(rf"\b(?:{MAKES}|covers?|takes?|for|of)\b", text):
            yield paper.name, "covers", one
            if supplier and re.search(rf"\b(?:supplier|provider|vendor)\b[^.;]*\b{MAKES}\b", text, re.I):
                yield one, "supplier", supplier


def _pairs(sentence: Sentence, here: list[Typed]) -> Iterator[Triple]:
    """What the words between two names say; where they say nothing, that both stand in one sentence."""
    for (a, one, kind), (b, other, other_kind) in combinations(here, 2):
        # In "A for the B and for the C" the words between B and C are about A.
        words = re.split(r";|\band (?:for|in|into|on)\b", sentence.text[a.end : b.start])[0]
        for source, target, pattern, relation, is_reversed in BETWEEN:
            if (kind, other_kind) == (source, target) and re.search(pattern, words):
                yield (other, relation, one) if is_reversed else (one, relation, other)
                break
        else:
            yield one, "together", other


def _continued(sentence: Sentence, here: list[Typed], before: str | None) -> Iterator[Triple]:
    """ "The circuit is used in the Strata P60": which circuit, the sentence before has said."""
    products = [(name, one) for name, one, kind in here if kind == "product"]
    used = re.search(r"\b(?:used|built|fitted|installed) (?:in|into)\b", sentence.text)
    if before and used and all(name.start > used.start() and one != before for name, one in products):
        yield from ((before, "part of", one) for _, one in products)


def _row(sentence: Sentence, names: Names) -> Iterator[Triple]:
    """A table's row: its first name stands for the row, the columns say what the others are to it."""
    cells: dict[str, list[str]] = defaultdict(list)
    for name in sentence.names:
        cells[column(sentence, name.start)].append(names.of(name.text))
    if not cells:
        return
    (head, (first, *_)), *_ = cells.items()
    role = role_of(head)
    for title, one in ((title, one) for title, them in cells.items() for one in them if title != head):
        if role and names.type_of(one) in ("document", "product"):
            yield one, role, first
        elif role_of(title):
            yield first, role_of(title) or "", one
        elif re.search(r"\bresponsible|\bowns?\b|\baccounts?\b", title):
            yield one, "owner", first
        else:
            relation = next((name for name, words in COLUMN.items() if re.search(words, title)), "together")
            yield first, relation, one

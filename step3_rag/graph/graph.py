"""The graph of an index: documents and firms are its nodes, relations its edges.

    >>> graph = build(index)
    >>> graph.document_in("Which contracts share a supplier with AB-2025-03?")
    'contracts/valves.md'

Each edge keeps the first chunk that states it, as evidence. questions.py follows the edges. What the
extractor (relations.py) missed is not in the graph.

GraphRAG (Edge et al. 2024, arXiv:2404.16130) goes on from here: it looks for communities, groups of nodes
with many edges inside, and has a model summarise each, for questions about the whole.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError
from step3_rag.graph.relations import document_number, extract, key
from step3_rag.ingest.index import Chunk, Index
from step3_rag.retrieve.snapshot import Snapshot


@dataclass(frozen=True)
class Edge:
    """`document relation firm`, such as `contracts/pumps.md supplier Brightwell`."""

    document: str  # its name in the index
    relation: str  # supplier, customer or subcontractor: what the firm is in the document
    firm: str


@dataclass(frozen=True)
class Graph:
    """Relations between documents and firms."""

    evidence: Mapping[Edge, Chunk]  # the first chunk that states it
    titles: Mapping[str, str]  # of the documents, by their name in the index
    names: Mapping[str, str]  # what a document is called -> its name in the index

    @property
    def firms(self) -> list[str]:
        """All firms, in alphabetical order."""
        return sorted({edge.firm for edge in self.evidence})

    def edges_of(self, firm: str) -> list[Edge]:
        """What a firm is in which document."""
        return [edge for edge in self.evidence if edge.firm == firm]

    def document_in(self, question: str) -> str | None:
        """Entity linking: the document that a question names, by the longest name in it.

        >>> graph.document_in("Which contracts share a supplier with AB-2025-03?")
        'contracts/valves.md'
        """
        words = f" {_words(question)} "
        named = [name for name in self.names if f" {name} " in words]
        return self.names[max(named, key=len)] if named else None

    def firms_in(self, question: str) -> list[str]:
        """The firms that a question names: whole, or by a first word that no other firm has.

        >>> graph.firms_in("Which contracts is Brightwell in?")
        ['Brightwell Components']
        """
        words = f" {_words(question)} "
        first_words = Counter(key(firm).split()[0] for firm in self.firms)
        named = []
        for firm in self.firms:
            name = key(firm)
            first = name.split()[0]
            is_named = f" {name} " in words
            is_named_in_short = first_words[first] == 1 and f" {first} " in words
            if is_named or is_named_in_short:
                named.append(firm)
        return named


def build(index: Index) -> Graph:
    """Build the graph from all chunks by the rules of relations.py.

    Raises:
        UserError: the index is empty.
    """
    ids = Snapshot(index).ids.tolist()
    chunks = sorted(index.chunks(ids), key=lambda chunk: (chunk.document, chunk.place))
    if not chunks:
        raise UserError(f"the index in {index.folder} is empty: ingest documents before you ask its graph")
    by_id = {chunk.id: chunk for chunk in chunks}
    evidence = dict[Edge, Chunk]()
    for document, relation, firm, chunk in extract(chunks):
        evidence.setdefault(Edge(document, relation, firm), by_id[chunk])
    titles = {chunk.document: chunk.title or chunk.document for chunk in chunks}
    return Graph(evidence, titles, _names(chunk for chunk in chunks if chunk.place == 0))


def _names(first: Iterable[Chunk]) -> dict[str, str]:
    """What documents are called: name in the index, title, file name and number, if no other has the same.

    `first` has the first chunk of each. A single word is a name only if it has a digit or is a path: a
    question has "supplier" for other reasons.
    """
    documents_of: dict[str, set[str]] = {}
    for chunk in first:
        file = re.sub(r"[-_]+", " ", Path(chunk.document).stem)
        for name in (chunk.document, chunk.title, file, document_number(chunk)):
            documents_of.setdefault(_words(name), set()).add(chunk.document)
    return {
        name: next(iter(documents))
        for name, documents in documents_of.items()
        if len(documents) == 1 and re.search(r"[ \d/.]", name)
    }


def _words(text: str) -> str:
    """A text without capitals and punctuation between its words."""
    words = re.findall(r"[\w&]+(?:[-'’./]\w+)*", text)
    bare = [re.sub(r"['’]s$", "", word) for word in words]
    return " ".join(bare).casefold()

"""The graph of an index, and the question that it answers: which documents share a supplier or customer?

    >>> graph = build(index)
    >>> graph.edges("contracts/valves.md", "supplier")
    [Edge('contracts/valves.md', 'supplier', 'Brightwell Components', [12])]
    >>> related(graph, "contracts/valves.md", "supplier")
    [Shared('contracts/pumps.md', 'Brightwell Components', 'supplier', [31], [12])]

Nodes are documents and firms; edges are relations, each with the chunks that state it. "Which contracts share
a supplier with X?" asks for a complete set: any k is too small or too large. The graph has the set, two steps
along one relation. It lacks what the extractor missed, so the answer names its evidence.

GraphRAG (Edge et al. 2024, arXiv:2404.16130) goes on from here: it looks for communities, groups of nodes
with many edges inside, and has a model summarise each, for questions about the whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shared.errors import UserError
from step3_rag.graph.relations import ROLES, document_numbers, extract, key
from step3_rag.ingest.index import Chunk, Index
from step3_rag.retrieve.snapshot import Snapshot

LONGEST = 12  # words of a name in a question; a document's title may be long
IN_COMMON = re.compile(r"\b(?:share|shares|sharing|same|common|also)\b", re.I)


class Edge(NamedTuple):
    """`source relation target`, and the chunks that state it; documents by their name in the index."""

    source: str
    relation: str
    target: str
    chunks: list[int]


@dataclass(frozen=True)
class Shared:
    """A document that has a supplier or customer in common with the one that was asked about."""

    document: str
    whom: str  # the common firm
    relation: str  # of the document to the firm
    chunks: list[int]  # that state it
    theirs: list[int]  # that state it of the document that was asked about


@dataclass(frozen=True)
class Graph:
    """Relations between documents and firms."""

    all_edges: Sequence[Edge]
    titles: Mapping[str, str]  # of the documents
    names: Mapping[str, str]  # `key(name)` -> node

    def label(self, node: str) -> str:
        """A node's name for people: a document's title."""
        return self.titles.get(node) or node

    def edges(self, node: str, *relations: str) -> list[Edge]:
        """The edges of these relations from and to a node."""
        of_relations = [edge for edge in self.all_edges if edge.relation in relations]
        return [edge for edge in of_relations if node in (edge.source, edge.target)]

    def link(self, question: str) -> list[str]:
        """Entity linking: the nodes that a question names, in its order; the longest of overlapping names.

        >>> graph.link("Which contracts does Brightwell Components deliver under?")
        ['Brightwell Components']
        """
        words = list(re.finditer(r"[\w&]+(?:[-'’./]\w+)*", question))
        found: list[str] = []
        first = 0
        while first < len(words):
            for end in range(min(len(words), first + LONGEST), first, -1):
                name = question[words[first].start() : words[end - 1].end()]
                node = self.names.get(key(name))
                # Only titles of several words may be in lower case: "the purchasing policy".
                if node and (re.search(r"\b[A-Z]|\d", name) or (end - first > 1 and node in self.titles)):
                    found.append(node)
                    first = end - 1
                    break
            first += 1
        return list(dict.fromkeys(found))


def build(index: Index) -> Graph:
    """Build the graph from all chunks by the rules of relations.py.

    Raises:
        UserError: the index is empty.
    """
    chunks = _all_chunks(index)
    evidence = dict[tuple[str, str, str], dict[int, None]]()
    for source, relation, target, chunk in extract(chunks):
        evidence.setdefault((source, relation, target), {})[chunk] = None
    titles = {chunk.document: chunk.title for chunk in chunks}
    firms = {target for _, _, target in evidence} - titles.keys()
    names = _names_of_firms(firms) | _names_of_documents(titles, document_numbers(chunks))
    return Graph([Edge(*ends, list(ids)) for ends, ids in evidence.items()], titles, names)


def _all_chunks(index: Index) -> list[Chunk]:
    """All chunks, sorted by document and place."""
    ids = Snapshot(index).ids.tolist()
    chunks = [chunk for start in range(0, len(ids), 500) for chunk in index.chunks(ids[start : start + 500])]
    if not chunks:
        raise UserError(f"the index in {index.folder} is empty: ingest documents before you ask its graph")
    return sorted(chunks, key=lambda chunk: (chunk.document, chunk.place))


def _names_of_firms(firms: Collection[str]) -> dict[str, str]:
    """Names of firms: the whole name and each beginning of it (`Brightwell`)."""
    names = {firm: key(firm).split(" ") for firm in firms}
    return _unique(
        {firm: {" ".join(each[:end]) for end in range(1, len(each) + 1)} for firm, each in names.items()}
    )


def _names_of_documents(titles: Mapping[str, str], numbers: Mapping[str, str]) -> dict[str, str]:
    """Names of documents: name in the index, number, title and file name."""
    names = {node: {node, title, re.sub(r"[-_]+", " ", Path(node).stem)} for node, title in titles.items()}
    for number, document in numbers.items():
        names[document].add(number)
    return _unique({node: {key(name) for name in each} for node, each in names.items()})


def _unique(names: Mapping[str, Collection[str]]) -> dict[str, str]:
    """The node of each name that belongs to one node only."""
    counts = Counter(name for each in names.values() for name in each)
    return {name: node for node, each in names.items() for name in each if counts[name] == 1}


def asks_to_share(graph: Graph, question: str) -> tuple[str, str] | None:
    """The node and the role of a question about what is shared; None for any other question.

    >>> asks_to_share(graph, "Which contracts share a supplier with AB-2025-03?")
    ('contracts/valves.md', 'supplier')
    """
    linked = graph.link(question)
    roles = [role for role, words in ROLES.items() if re.search(rf"\b(?:{words})s?\b", question, re.I)]
    if not (linked and roles and IN_COMMON.search(question)):
        return None
    return linked[-1], roles[0]  # "... with X" stands last


def related(graph: Graph, node: str, role: str) -> list[Shared]:
    """The documents that share a supplier or customer (`role`) with a document or a firm.

    A document's subcontractors count as suppliers. A firm with that role is itself the common one; any other
    firm stands for the contracts in which it is the customer.
    """
    relations = (role, "subcontractor") if role == "supplier" else (role,)
    own = {node: list[int]()}  # the documents that were asked about, with evidence
    firms = dict[str, list[int]]()  # their suppliers or customers, with evidence
    if any(edge.target == node for edge in graph.edges(node, *relations)):
        firms[node] = []
    else:
        own |= {edge.source: edge.chunks for edge in graph.edges(node, "customer") if edge.target == node}
        for document, evidence in own.items():
            for edge in graph.edges(document, *relations):
                if edge.source == document and edge.target != node:
                    firms[edge.target] = sorted({*firms.get(edge.target, []), *evidence, *edge.chunks})
    found = [
        Shared(edge.source, firm, edge.relation, edge.chunks, evidence)
        for firm, evidence in firms.items()
        for edge in graph.edges(firm, *relations)
        if edge.target == firm and edge.source not in own
    ]
    return sorted(found, key=lambda each: (each.whom, each.relation != role, each.document))

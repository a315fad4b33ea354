"""The graph of an index, and the question that it answers: who has somebody in common?

    >>> graph = build(index)
    >>> graph.edges("contracts/valves.md", "supplier")
    [Edge('contracts/valves.md', 'supplier', 'Brightwell Components', [12])]
    >>> related(graph, "contracts/valves.md", "supplier")
    [Shared('contracts/pumps.md', 'Brightwell Components', 'supplier', [31], [12])]

Documents and firms are its nodes, what is said of them its edges, each with the chunks that say so. "Which
contracts share a supplier with X?" asks for all of a set: any k is too small or too large. The graph has the
set, two steps along one relation. What the extractor missed is missing, so the answer names its evidence.

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

LONGEST = 12  # words of a name in a question: a document's title may be long
IN_COMMON = re.compile(r"\b(?:share|shares|sharing|same|common|also)\b", re.I)


class Edge(NamedTuple):
    """`source relation target`, and the chunks that say so. A document goes by its name in the index."""

    source: str
    relation: str
    target: str
    chunks: list[int]


@dataclass(frozen=True)
class Shared:
    """A document that has somebody in common with what was asked for."""

    document: str
    whom: str
    relation: str  # of the document to whom
    chunks: list[int]  # that say so
    theirs: list[int]  # that say it of what was asked for


@dataclass(frozen=True)
class Graph:
    """What can be asked of the documents."""

    all_edges: Sequence[Edge]
    titles: Mapping[str, str]  # of the documents
    names: Mapping[str, str]  # the node of every name, by `key(name)`

    def label(self, node: str) -> str:
        """What people call it: of a document its title."""
        return self.titles.get(node) or node

    def edges(self, node: str, *relations: str) -> list[Edge]:
        """The edges of these relations from and to a node."""
        of_relations = [edge for edge in self.all_edges if edge.relation in relations]
        return [edge for edge in of_relations if node in (edge.source, edge.target)]

    def link(self, question: str) -> list[str]:
        """Entity linking: the nodes that a question names, in its order; of names that overlap the longest.

        >>> graph.link("Which contracts does Brightwell Components deliver under?")
        ['Brightwell Components']
        """
        words = list(re.finditer(r"[\w&]+(?:[-'’./]\w+)*", question))
        found: dict[str, None] = {}
        at = 0
        while at < len(words):
            for end in range(min(len(words), at + LONGEST), at, -1):
                name = question[words[at].start() : words[end - 1].end()]
                node = self.names.get(key(name))
                # Only titles of several words may be written small: "the purchasing policy".
                if node and (re.search(r"\b[A-Z]|\d", name) or (end - at > 1 and node in self.titles)):
                    found.setdefault(node)
                    at = end - 1
                    break
            at += 1
        return list(found)


def build(index: Index) -> Graph:
    """Read all chunks, and connect what the rules find in them.

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
    return Graph([Edge(*ends, list(said)) for ends, said in evidence.items()], titles, names)


def _all_chunks(index: Index) -> list[Chunk]:
    """Every chunk, those of a document one after another."""
    ids = Snapshot(index).ids.tolist()
    chunks = [chunk for start in range(0, len(ids), 500) for chunk in index.chunks(ids[start : start + 500])]
    if not chunks:
        raise UserError(f"the index in {index.folder} is empty: ingest documents before you ask its graph")
    return sorted(chunks, key=lambda chunk: (chunk.document, chunk.place))


def _names_of_firms(firms: Collection[str]) -> dict[str, str]:
    """Each firm by its name and the beginnings of it (`Brightwell`)."""
    names = {firm: key(firm).split(" ") for firm in firms}
    return _unique(
        {firm: {" ".join(each[:end]) for end in range(1, len(each) + 1)} for firm, each in names.items()}
    )


def _names_of_documents(titles: Mapping[str, str], numbers: Mapping[str, str]) -> dict[str, str]:
    """Each document by its name, number, title and file name."""
    names = {node: {node, title, re.sub(r"[-_]+", " ", Path(node).stem)} for node, title in titles.items()}
    for number, document in numbers.items():
        names[document].add(number)
    return _unique({node: {key(name) for name in each} for node, each in names.items()})


def _unique(names: Mapping[str, Collection[str]]) -> dict[str, str]:
    """The node of each name that is the name of one node only."""
    counts = Counter(name for each in names.values() for name in each)
    return {name: node for node, each in names.items() for name in each if counts[name] == 1}


def asks_to_share(graph: Graph, question: str) -> tuple[str, str] | None:
    """The thing and the role that a question asks to share; None if it asks something else.

    >>> asks_to_share(graph, "Which contracts share a supplier with AB-2025-03?")
    ('contracts/valves.md', 'supplier')
    """
    linked = graph.link(question)
    roles = [role for role, words in ROLES.items() if re.search(rf"\b(?:{words})s?\b", question, re.I)]
    if not (linked and roles and IN_COMMON.search(question)):
        return None
    return linked[-1], roles[0]  # "... with X" stands last


def related(graph: Graph, node: str, role: str) -> list[Shared]:
    """The documents that share a supplier or customer with a document or a firm.

    A document's subcontractors are its suppliers too. A firm stands for itself if it has that role, otherwise
    for the contracts it has as a customer.
    """
    relations = (role, "subcontractor") if role == "supplier" else (role,)
    own, whom = {node: list[int]()}, dict[str, list[int]]()
    if any(edge.target == node for edge in graph.edges(node, *relations)):
        whom[node] = []
    else:
        leads = graph.edges(node, "customer")
        own |= {edge.source: edge.chunks for edge in leads if edge.target == node}
        for thing, way in own.items():
            for edge in graph.edges(thing, *relations):
                if edge.source == thing and edge.target != node:
                    whom[edge.target] = sorted({*whom.get(edge.target, []), *way, *edge.chunks})
    found = [
        Shared(edge.source, each, edge.relation, edge.chunks, theirs)
        for each, theirs in whom.items()
        for edge in graph.edges(each, *relations)
        if edge.target == each and edge.source not in own
    ]
    return sorted(found, key=lambda each: (each.whom, each.relation != role, each.document))

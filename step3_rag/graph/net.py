"""The graph of an index: things and documents as nodes, what is said of them as edges, with its evidence.

    >>> graph = build(index, rules.extract)
    >>> graph.net.edges["contracts/pumps.md", "Brightwell Components", "supplier"]
    {'chunks': [3], 'weight': 3.0}

A networkx MultiDiGraph. A node has a type, other names, and the chunks that mention it; a document has a
title too. An edge has its relation as key, and the chunks that state it. `net.graph` holds `extractor`,
`generation` (of the index), `read` and `failed` (numbers of chunks), and `communities` (lists of nodes,
largest first). After GraphRAG (Edge et al. 2024, arXiv:2404.16130).

A document is connected to every name it mentions, weakly; two names in one sentence a little more; what a
sentence states (supplier, part of, signed by) most. Weights grow with the logarithm of the evidence: a table
that repeats a name twenty times is not twenty facts. Communities are Louvain's (Blondel et al. 2008,
arXiv:0803.0476): groups with more edges inside than chance would give them.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx

from shared.errors import UserError, reason
from step3_rag.graph import rules
from step3_rag.graph.extract import TOGETHER, Extraction, Resolver, key
from step3_rag.ingest.index import Chunk, Index
from step3_rag.retrieve.snapshot import Snapshot

FILE = "entity-graph.json"
AGAIN = "run `python -m step3_rag graph build` again"
MENTIONS = "mentions"  # document -> thing
WEIGHT = {TOGETHER: 0.5, MENTIONS: 0.3, "refers to": 1.0}
STATED = 3.0  # the weight of all other relations
LONGEST = 12  # words of a name in a question: a document's title may be long


@dataclass
class Graph:
    """What can be asked of the network."""

    net: nx.MultiDiGraph

    @cached_property
    def names(self) -> dict[str, str]:
        """The node of every name and other name, by `key(name)`."""
        found: dict[str, str] = {}
        for node, others in self.net.nodes(data="names"):
            for name in (node, *others):
                found.setdefault(key(name), node)
        return found

    @cached_property
    def central(self) -> dict[str, float]:
        """PageRank of every node: how much depends on it."""
        return nx.pagerank(self.net.to_undirected(as_view=True), weight="weight")

    @cached_property
    def mentioned(self) -> dict[int, set[str]]:
        """The names in each chunk, and the documents that it refers to."""
        found: dict[int, set[str]] = defaultdict(set)
        for _, target, chunks in self.net.edges(data="chunks"):
            for chunk in chunks:
                found[chunk].add(target)
        return found

    def is_document(self, node: str) -> bool:
        """Whether the node is a document of the index, not just the number of one."""
        return "title" in self.net.nodes[node]

    def label(self, node: str) -> str:
        """What people call it: of a document its title."""
        return str(self.net.nodes[node].get("title") or node)

    def link(self, question: str) -> list[str]:
        """Entity linking: the nodes that a question names, in its order; of names that overlap the longest.

        >>> graph.link("Who makes the pump in the Harbour Crane 9?")
        ['Harbour Crane 9']
        """
        words = list(re.finditer(r"[\w&]+(?:[-'’./]\w+)*", question))
        found: dict[str, None] = {}
        at = 0
        while at < len(words):
            for end in range(min(len(words), at + LONGEST), at, -1):
                name = question[words[at].start() : words[end - 1].end()]
                node = self.names.get(key(name))
                # A single word has to look like a name: "prime" doesn't, "Prime" does.
                if node and (end - at > 1 or name[0].isupper() or re.search(r"\d", name)):
                    found.setdefault(node)
                    at = end - 1
                    break
            at += 1
        return list(found)

    def edges(self, node: str, *relations: str) -> list[tuple[str, str, str, list[int]]]:
        """Edges at a node that state something, or those of `relations`: source, relation, target, chunks."""
        into = self.net.in_edges(node, keys=True, data="chunks")
        edges: Any = [*self.net.out_edges(node, keys=True, data="chunks"), *into]
        return [
            (source, relation, target, chunks)
            for source, target, relation, chunks in edges
            if (relation in relations if relations else relation not in (TOGETHER, MENTIONS))
        ]

    def save(self, folder: Path) -> Path:
        """Write it beside the index.

        Raises:
            UserError: nothing can be written there.
        """
        path = folder / FILE
        try:
            path.write_text(json.dumps(nx.node_link_data(self.net, edges="edges")), encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        return path


def load(folder: Path) -> Graph | None:
    """The graph beside an index, perhaps of an older state of it; None if there is none.

    Raises:
        UserError: it can't be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        graph = Graph(nx.node_link_graph(json.loads(path.read_text(encoding="utf-8")), edges="edges"))
        if not {"extractor", "generation", "communities"} <= graph.net.graph.keys():
            raise KeyError("communities")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, nx.NetworkXError) as error:
        raise UserError(f"{path} cannot be read ({reason(error)}): {AGAIN}") from None
    return graph


def load_or_build(index: Index, seed: int = 0) -> Graph:
    """The graph that `graph build` left beside the index; without a current one, a new one by rules.

    Raises:
        UserError: the graph that is out of date is a model's, or there are no documents.
    """
    graph = load(index.folder)
    if graph and graph.net.graph["generation"] == index.generation:
        return graph
    if graph and graph.net.graph["extractor"] != rules.NAME:
        raise UserError(f"the documents have changed since the graph was built: {AGAIN}")
    return build(index, rules.extract, seed)


def all_chunks(index: Index) -> list[Chunk]:
    """Every chunk, those of a document one after another.

    Raises:
        UserError: there are none.
    """
    ids = Snapshot(index).ids.tolist()
    chunks = [chunk for start in range(0, len(ids), 500) for chunk in index.chunks(ids[start : start + 500])]
    if not chunks:
        raise UserError(f"the index in {index.folder} is empty: ingest documents before you build a graph")
    return sorted(chunks, key=lambda chunk: (chunk.document, chunk.place))


def build(index: Index, extractor: Callable[[Sequence[Chunk]], Extraction], seed: int = 0) -> Graph:
    """Read all chunks with an extractor, connect what it found, find the communities.

    Raises:
        UserError: the index is empty, or nothing was found in it.
    """
    generation, chunks = index.generation, all_chunks(index)
    found = extractor(chunks)
    names = Resolver(found.mentions, found.numbers)
    net = nx.MultiDiGraph(extractor=found.extractor, generation=generation)
    net.graph |= {"read": len(chunks), "failed": found.failed}
    for chunk in chunks:
        if chunk.document not in net:
            net.add_node(chunk.document, type="document", title=chunk.title, names=[], chunks=[])
        net.nodes[chunk.document]["chunks"].append(chunk.id)
    _name_documents(net, found.numbers)
    document_of = {chunk.id: chunk.document for chunk in chunks}
    for name, _, chunk in found.mentions:
        _add_name(net, names, name, chunk)
        _add_edge(net, document_of[chunk], MENTIONS, names.of(name), chunk)
    for source, relation, target, chunk in found.relations:
        for name in (source, target):  # a model may relate what it didn't list
            _add_name(net, names, name, chunk)
        _add_edge(net, names.of(source), relation, names.of(target), chunk)
    # A name of unknown type in one document, of which nothing is said, leads nowhere, but for codes.
    loose = [node for node, degree in net.degree if degree <= 1 and net.nodes[node]["type"] == "other"]
    net.remove_nodes_from([node for node in loose if not re.search(r"\d", node)])
    if all("title" in facts for _, facts in net.nodes(data=True)):
        raise UserError(f"no names were found in the documents of {index.folder} ({found.extractor})")
    graph = Graph(net)
    groups = nx.community.louvain_communities(net.to_undirected(), weight="weight", seed=seed)
    ordered = [sorted(group, key=lambda node: (-graph.central[node], node)) for group in groups]
    net.graph["communities"] = sorted(ordered, key=lambda group: (-len(group), group[0]))
    return graph


def _name_documents(net: nx.MultiDiGraph, numbers: dict[str, str]) -> None:
    """A document's number, title and file name are names of it, unless another document has them too."""
    names = {node: {title, re.sub(r"[-_]+", " ", Path(node).stem)} for node, title in net.nodes(data="title")}
    for number, document in numbers.items():
        names[document].add(number)
    counts = Counter(one for each in names.values() for one in {key(name) for name in each})
    for node, each in names.items():
        net.nodes[node]["names"] += sorted(name for name in each if counts[key(name)] == 1)


def _add_name(net: nx.MultiDiGraph, names: Resolver, name: str, chunk: int) -> None:
    """Add the node of a name, or another name of it and one more chunk that mentions it."""
    node = names.of(name)
    if node not in net:
        net.add_node(node, type=names.type_of(name), names=[], chunks=[])
    facts = net.nodes[node]
    if "title" not in facts:
        facts["names"] += [name] if name not in (node, *facts["names"]) else []
        facts["chunks"] += [chunk] if chunk not in facts["chunks"] else []


def _add_edge(net: nx.MultiDiGraph, source: str, relation: str, target: str, chunk: int) -> None:
    """Add an edge, or one more chunk to the evidence of an edge."""
    if source == target:
        return
    if relation == TOGETHER:
        source, target = sorted((source, target))
    if not net.has_edge(source, target, relation):
        net.add_edge(source, target, relation, chunks=[], weight=0.0)
    edge = net.edges[source, target, relation]
    if chunk not in edge["chunks"]:
        edge["chunks"].append(chunk)
        edge["weight"] = round(WEIGHT.get(relation, STATED) * (1 + math.log(len(edge["chunks"]))), 3)

"""From an index to its graph: read all passages, connect what was found, find the communities.

    >>> build(index, rules.extract).net.number_of_nodes()
    234

A document is connected to every name it mentions, weakly; two names in one sentence a little more; what a
sentence states (supplier, part of, signed by) most. Weights grow with the logarithm of the evidence: a table
that repeats a name twenty times is not twenty facts. Communities are Louvain's (Blondel et al. 2008,
arXiv:0803.0476): groups with more edges inside than chance would give them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import networkx as nx

from shared.errors import UserError
from step3_rag.graph import rules
from step3_rag.graph.extract import TOGETHER, Extraction, Resolver, key
from step3_rag.graph.net import MENTIONS, Graph, load
from step3_rag.ingest.index import Chunk, Index
from step3_rag.retrieve.snapshot import Snapshot

WEIGHT = {TOGETHER: 0.5, MENTIONS: 0.3, "refers to": 1.0}
STATED = 3.0  # the weight of all other relations


def load_or_build(index: Index, seed: int = 0) -> Graph:
    """The graph that `graph build` left beside the index; without a current one, a new one by rules.

    Raises:
        UserError: the graph that is out of date is a model's, or there are no documents.
    """
    graph = load(index.folder)
    if graph and graph.net.graph["generation"] == index.generation:
        return graph
    if graph and graph.net.graph["extractor"] != rules.NAME:
        again = "run `python -m step3_rag graph build` again"
        raise UserError(f"the documents have changed since the graph was built: {again}")
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
    """Read all chunks with an extractor and connect what it found.

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
        node = names.of(name)
        if node not in net:
            net.add_node(node, type=names.type_of(name), names=[], chunks=[])
        facts = net.nodes[node]
        if "title" not in facts:
            facts["names"] += [name] if name not in (node, *facts["names"]) else []
            facts["chunks"] += [chunk] if chunk not in facts["chunks"][-1:] else []
        _add_edge(net, document_of[chunk], MENTIONS, node, chunk)
    for source, relation, target, chunk in found.relations:
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


def _add_edge(net: nx.MultiDiGraph, source: str, relation: str, target: str, chunk: int) -> None:
    """Add an edge, or one more chunk to the evidence of an edge."""
    if source == target:
        return
    if relation == TOGETHER:
        source, target = sorted((source, target))
    for node in (source, target):
        if node not in net:  # a model may relate what it didn't list
            net.add_node(node, type="other", names=[], chunks=[chunk])
    if not net.has_edge(source, target, relation):
        net.add_edge(source, target, relation, chunks=[], weight=0.0)
    edge = net.edges[source, target, relation]
    if chunk not in edge["chunks"]:
        edge["chunks"].append(chunk)
        edge["weight"] = round(WEIGHT.get(relation, STATED) * (1 + math.log(len(edge["chunks"]))), 3)


def _name_documents(net: nx.MultiDiGraph, numbers: dict[str, str]) -> None:
    """A document's number, title and file name are names of it, unless another document has them too."""
    names = {node: {title, re.sub(r"[-_]+", " ", Path(node).stem)} for node, title in net.nodes(data="title")}
    for number, document in numbers.items():
        names[document].add(number)
    counts = Counter(one for each in names.values() for one in {key(name) for name in each})
    for node, each in names.items():
        net.nodes[node]["names"] += sorted(name for name in each if counts[key(name)] == 1)

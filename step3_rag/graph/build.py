"""From an index to its graph: read all passages, bind what was found together, find the communities.

    >>> graph = build(index, extract)
    >>> describe(graph)["relations"]
    {'mentions': 608, 'together': 320, 'supplier': 34, ...}

A document is tied to every name it mentions, weakly; two names in one sentence a little more; what a sentence
states (supplier, part of, signed by) most. Weights grow with the logarithm of the evidence, so that one table
that repeats a name twenty times is not twenty facts. Communities are Louvain's (Blondel et al. 2008,
arXiv:0803.0476).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import networkx as nx

from shared.errors import UserError
from step3_rag.graph.extract import Extraction, Names, key
from step3_rag.graph.net import MENTIONS, TOGETHER, Graph
from step3_rag.ingest.index import Chunk, Index
from step3_rag.retrieve.snapshot import Snapshot

WEIGHT = {TOGETHER: 0.5, MENTIONS: 0.3, "refers to": 1.0}
STATED = 3.0  # the weight of all other relations

Extractor = Callable[[Sequence[Chunk]], Extraction]


def all_chunks(index: Index) -> list[Chunk]:
    """Every chunk, those of a document one after another.

    Raises:
        UserError: there are none.
    """
    ids = [int(each) for each in Snapshot(index).ids]
    chunks = [chunk for start in range(0, len(ids), 500) for chunk in index.chunks(ids[start : start + 500])]
    if not chunks:
        raise UserError(
            f"the index in {index.folder} is empty: ingest documents before a graph is made of them"
        )
    return sorted(chunks, key=lambda chunk: (chunk.document, chunk.place))


def build(index: Index, extractor: Extractor, seed: int = 0) -> Graph:
    """Read all chunks with an extractor and bind what it found together.

    Raises:
        UserError: the index is empty, or nothing was found in it.
    """
    generation, chunks = index.generation, all_chunks(index)
    found = extractor(chunks)
    names = Names(found.mentions, found.aliases)
    net = nx.MultiDiGraph()
    document_of = {chunk.id: chunk.document for chunk in chunks}
    for chunk in chunks:
        if chunk.document not in net:
            net.add_node(chunk.document, type="document", title=chunk.title, names=[], chunks=[])
        net.nodes[chunk.document]["chunks"].append(chunk.id)
    for short, whole in found.aliases.items():
        if whole in net and net.nodes[whole]["type"] == "document":
            net.nodes[whole]["names"].append(short)
    _add_titles(net)
    for mention in found.mentions:
        node = names.of(mention.name)
        if node not in net:
            net.add_node(node, type=names.type_of(mention.name), names=[], chunks=[])
        facts = net.nodes[node]
        if "title" not in facts:
            if mention.name not in (node, *facts["names"]):
                facts["names"].append(mention.name)
            if facts["chunks"][-1:] != [mention.chunk]:  # mentions come chunk by chunk
                facts["chunks"].append(mention.chunk)
        if node != document_of[mention.chunk]:
            _add_edge(net, document_of[mention.chunk], MENTIONS, node, mention.chunk)
    for relation in found.relations:
        source, target = names.of(relation.source), names.of(relation.target)
        for node in (source, target):  # a model may relate what it didn't list
            if node not in net:
                net.add_node(node, type="other", names=[], chunks=[relation.chunk])
        if source != target:
            _add_edge(net, source, relation.relation, target, relation.chunk)
    _drop_chance(net)
    if all("title" in facts for _, facts in net.nodes(data=True)):
        raise UserError(f"no names were found in the documents of {index.folder} ({found.extractor})")
    graph = Graph(net, found.extractor, generation, [], found.read, found.failed)
    graph.communities = communities(graph, seed)
    return graph


def communities(graph: Graph, seed: int = 0) -> list[list[str]]:
    """Groups that hang together (Louvain), largest first; the most central node of each stands first."""
    groups = nx.community.louvain_communities(graph.plain, weight="weight", seed=seed)
    ordered = [sorted(group, key=lambda node: (-graph.central[node], node)) for group in groups]
    return sorted(ordered, key=lambda group: (-len(group), group[0]))


def _add_edge(net: nx.MultiDiGraph, source: str, relation: str, target: str, chunk: int) -> None:
    weight = WEIGHT.get(relation, STATED)
    if not net.has_edge(source, target, relation):
        net.add_edge(source, target, relation, chunks=[], weight=0.0)
    edge = net.edges[source, target, relation]
    if chunk not in edge["chunks"]:
        edge["chunks"].append(chunk)
        edge["weight"] = round(weight * (1 + math.log(len(edge["chunks"]))), 3)


def _add_titles(net: nx.MultiDiGraph) -> None:
    """A document's title and its file's name are names of it, where they are its own."""
    said: Counter[str] = Counter()
    by_name: dict[str, list[str]] = defaultdict(list)
    for node, facts in net.nodes(data=True):
        stem = re.sub(r"[-_]+", " ", Path(node).stem)
        by_name[node] = [*dict.fromkeys([facts["title"], stem])]
        said.update({key(name) for name in by_name[node]})
    for node, titles in by_name.items():
        net.nodes[node]["names"] += [title for title in titles if said[key(title)] == 1]


def _drop_chance(net: nx.MultiDiGraph) -> None:
    """A name of unknown type that stands in one document, and of which nothing is said, leads nowhere."""
    net.remove_nodes_from(
        [
            node
            for node, facts in net.nodes(data=True)
            if facts["type"] == "other"
            and net.in_degree(node) + net.out_degree(node) <= 1
            and not any(map(str.isdigit, node))
        ]
    )


def describe(graph: Graph) -> dict[str, Any]:
    """What is in it, by number: nodes by type, edges by relation."""
    return {
        "nodes": len(graph.net),
        "types": dict(Counter(kind for _, kind in graph.net.nodes(data="type")).most_common()),
        "edges": graph.net.number_of_edges(),
        "relations": dict(Counter(relation for *_, relation in graph.net.edges(keys=True)).most_common()),
        "communities": len(graph.communities),
    }

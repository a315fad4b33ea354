"""The graph of an index: things and documents as nodes, what is said of them as edges, with its evidence.

    >>> graph.net.edges["contracts/pumps.md", "Brightwell Components", "supplier"]
    {'chunks': [3], 'weight': 3.0}

A networkx MultiDiGraph. A node has a type, other names, and the chunks that mention it; a document has a
title too. An edge has its relation as key, and the chunks that state it. `net.graph` holds `extractor`,
`generation` (of the index), `read` and `failed` (numbers of chunks), and `communities` (lists of nodes,
largest first). After GraphRAG (Edge et al. 2024, arXiv:2404.16130).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx

from shared.errors import UserError, reason
from step3_rag.graph.extract import TOGETHER, key

FILE = "entity-graph.json"
MENTIONS = "mentions"  # document -> thing
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

    def is_person(self, node: str) -> bool:
        """Whether the node is a person, as far as the extractor knows."""
        return self.net.nodes[node]["type"] == "person"

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
        path, draft = folder / FILE, folder / f"{FILE}.partial"
        try:
            draft.write_text(json.dumps(nx.node_link_data(self.net, edges="edges")), encoding="utf-8")
            draft.replace(path)
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
        again = "run `python -m step3_rag graph build` again"
        raise UserError(f"{path} cannot be read ({reason(error)}): {again}") from None
    return graph

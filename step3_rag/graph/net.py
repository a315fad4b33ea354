"""The graph of an index: things and documents as nodes, what is said of them as edges, with its evidence.

    >>> graph = load(index)
    >>> graph.net.edges["contracts/pumps.md", "Brightwell Components", "supplier"]
    {'chunks': [3], 'weight': 3.0}

A networkx MultiDiGraph: a node knows its type, its other names and the chunks that mention it; an edge has
its relation as key, and knows the chunks that state it. Communities are groups that hang together more than
chance would have it; they are the themes of a corpus. After GraphRAG (Edge et al. 2024, arXiv:2404.16130).

The graph belongs to one generation of the index; when that has changed, `load` says so.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import networkx as nx

from shared.errors import UserError, reason
from step3_rag.graph.extract import key
from step3_rag.ingest.index import Index

FILE = "graph.json"
FORMAT = 1
TOGETHER = "together"  # the one relation that says nothing but that
MENTIONS = "mentions"  # document -> thing
LONGEST = 12  # words of a name in a question: a document's title may be long


class StaleError(UserError):
    """The graph is of an older state of the documents; `extractor` made it."""

    def __init__(self, message: str, extractor: str) -> None:
        super().__init__(message)
        self.extractor = extractor


@dataclass
class Graph:
    """Nodes and edges with their evidence, and the communities, largest first."""

    net: nx.MultiDiGraph
    extractor: str
    generation: int
    communities: list[list[str]] = field(default_factory=list)
    read: int = 0  # chunks
    failed: int = 0  # of them

    @cached_property
    def names(self) -> dict[str, str]:
        """The node of every name and other name; the key is `key(name)`."""
        found: dict[str, str] = {}
        for node, facts in self.net.nodes(data=True):
            for name in (node, *facts["names"]):
                found.setdefault(key(name), node)
        codes = defaultdict[str, list[str]](list)  # people say "the P60" of a Strata P60
        for node in self.of_type("product"):
            if " " in node and re.search(r"\d", node.split(" ")[-1]):
                codes[key(node.split(" ")[-1])].append(node)
        return {code: nodes[0] for code, nodes in codes.items() if len(nodes) == 1} | found

    @cached_property
    def plain(self) -> nx.Graph:
        """Undirected, one edge for each pair, weights added up: for communities, centrality and drawing."""
        flat = nx.Graph()
        flat.add_nodes_from(self.net)
        for source, target, weight in self.net.edges(data="weight"):
            before = flat.get_edge_data(source, target, {"weight": 0.0})["weight"]
            flat.add_edge(source, target, weight=before + weight)
        return flat

    @cached_property
    def central(self) -> dict[str, float]:
        """PageRank of every node: how much hangs on it."""
        return nx.pagerank(self.plain, weight="weight") if len(self.net) else {}

    @cached_property
    def mentioned(self) -> dict[int, list[str]]:
        """The names that each chunk mentions, and the documents that it refers to."""
        found: dict[int, list[str]] = defaultdict(list)
        for node, facts in self.net.nodes(data=True):
            chunks = facts["chunks"]
            if "title" in facts:
                chunks = [one for *_, more in self.net.in_edges(node, data="chunks") for one in more]
            for chunk in dict.fromkeys(chunks):
                found[chunk].append(node)
        return found

    def of_type(self, *types: str) -> list[str]:
        """The nodes of these types, most central first."""
        nodes = [node for node, kind in self.net.nodes(data="type") if kind in types]
        return sorted(nodes, key=lambda node: -self.central[node])

    def label(self, node: str) -> str:
        """What people call it: of a document its title."""
        return str(self.net.nodes[node].get("title") or node)

    def link(self, question: str) -> list[str]:
        """The nodes that a question names, in its order; the longest name where one is part of another.

        >>> graph.link("Who makes the pump in the Harbour Crane 9?")
        ['Harbour Crane 9']
        """
        words = list(re.finditer(r"[\w&]+(?:[-'’./]\w+)*", question))
        found: dict[str, None] = {}
        at = 0
        while at < len(words):
            for end in range(min(len(words), at + LONGEST), at, -1):
                said = question[words[at].start() : words[end - 1].end()]
                node = self.names.get(key(said))
                # A single word has to look like a name: "prime" is none, "Prime" is.
                if node and (end - at > 1 or said[0].isupper() or any(map(str.isdigit, said))):
                    found.setdefault(node)
                    at = end - 1
                    break
            at += 1
        return list(found)

    def edges(self, node: str, *relations: str) -> list[tuple[str, str, str, list[int]]]:
        """Edges at a node that say something, or those of `relations`: source, relation, target, chunks."""
        edges = [
            *self.net.out_edges(node, keys=True, data="chunks"),
            *self.net.in_edges(node, keys=True, data="chunks"),
        ]
        return [
            (source, relation, target, chunks)
            for source, target, relation, chunks in edges
            if (relation in relations if relations else relation not in (TOGETHER, MENTIONS))
        ]

    # --- on disk --------------------------------------------------------------------------------------

    def save(self, folder: Path) -> Path:
        """Write it beside the index.

        Raises:
            UserError: nothing can be written there.
        """
        facts = {
            "format": FORMAT,
            "generation": self.generation,
            "extractor": self.extractor,
            "read": self.read,
            "failed": self.failed,
            "communities": self.communities,
            "graph": nx.node_link_data(self.net, edges="edges"),
        }
        draft = folder / f"{FILE}.partial"
        try:
            draft.write_text(json.dumps(facts, ensure_ascii=False, indent=0), encoding="utf-8")
            draft.replace(folder / FILE)
        except OSError as error:
            raise UserError(f"cannot write {folder / FILE}: {error.strerror}") from None
        return folder / FILE


def load(index: Index) -> Graph:
    """The graph that was built of an index.

    Raises:
        UserError: there is none, it is of another state of the index, or it can't be read.
    """
    path, again = index.folder / FILE, "run `python -m step3_rag graph build`"
    if not path.exists():
        raise UserError(f"no graph of the index in {index.folder}: {again}")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise UserError(f"{path} is of another version of this program: {again} again")
        net = nx.node_link_graph(facts["graph"], directed=True, multigraph=True, edges="edges")
        graph = Graph(
            net, facts["extractor"], facts["generation"], facts["communities"], facts["read"], facts["failed"]
        )
    except (OSError, ValueError, KeyError, TypeError, nx.NetworkXError) as error:
        raise UserError(f"{path} cannot be read ({reason(error)}): {again} again") from None
    if graph.generation != index.generation:
        raise StaleError(
            f"the documents have changed since the graph was built: {again} again", graph.extractor
        )
    return graph

"""Questions of two hops: the names in the first passages lead on to the next ones.

    >>> retriever = GraphRetriever(plain, graph)
    >>> found = retriever.search("Who is liable for the pump in the Harbour Crane 9?")
    >>> retriever.bridges[found.query]
    ['Otter 300', 'Brightwell Components']

The passage with the answer, Brightwell's contract, has no word in common with the question; the data sheet of
the crane, which plain search finds, names the pump and its maker. So the question is searched once more with
each name that the first passages mention and the question does not (a bridge), and a passage that mentions
the bridge gets a share of its score there. Others take that step with a model (Trivedi et al. 2023,
arXiv:2212.10509) or by a random walk over such a graph (HippoRAG, Gutiérrez et al. 2024, arXiv:2405.14831).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from step3_rag.graph.net import Graph, load_or_build
from step3_rag.ingest.embed import Encoded
from step3_rag.retrieve.fuse import ranked, scaled
from step3_rag.retrieve.search import Found, Options, Retriever, Scores

# Chosen on the sample's dev questions, where more was no better.
PASSAGES = 2  # of plain search whose names lead on
BRIDGES = 6  # names at most: each costs a search
WEIGHT = 0.2  # of what the bridges say; the rest is plain search's
COMMONEST = 0.2  # a name in more than this share of all passages leads everywhere
DEFAULT = Options()


class GraphRetriever(Retriever):
    """A retriever with one more stage, `graph`; whatever takes a retriever takes this one."""

    def __init__(self, plain: Retriever, graph: Graph) -> None:
        vars(self).update(vars(plain))  # the same index, store and embedder
        self.graph = graph
        self.bridges: dict[str, list[str]] = {}  # of each query

    def search(self, query: str, options: Options = DEFAULT, encoded: Encoded | None = None) -> Found:
        """Run the stages of plain search, then rank anew by what the names in its first passages lead to."""
        found = super().search(query, options, encoded)
        self.bridges[query] = names = self._bridges(found)
        if names:
            self._stage(found, "graph", lambda: self._hop(found, names))
            found.order, found.best = self._order(found), []
            self._read(found)
        return found

    def _hop(self, found: Found, names: list[str]) -> Scores:
        """Plain search's scores, and a share of what passages score in a search for a bridge they mention."""
        plain, reached = _last(found), dict[int, float]()
        for name in names:
            again = super().search(f"{found.query} {self.graph.label(name)}", found.options)
            found.documents |= again.documents
            scores = _last(again)
            for chunk in self.graph.net.nodes[name]["chunks"]:
                if chunk in found.documents:
                    reached[chunk] = max(reached.get(chunk, 0.0), scores.get(chunk, 0.0))
        chunks = plain | reached
        return {
            each: (1 - WEIGHT) * plain.get(each, 0.0) + WEIGHT * reached.get(each, 0.0) for each in chunks
        }

    def _bridges(self, found: Found) -> list[str]:
        """Names in the first passages that the question doesn't have; rare ones and high ones first."""
        n, plain, linked = len(self.snapshot), _last(found), self.graph.link(found.query)
        weights: dict[str, float] = {}
        for chunk in found.order[:PASSAGES]:
            for name in sorted(self.graph.mentioned.get(chunk, ())):
                count = len(self.graph.net.nodes[name]["chunks"])
                if name not in (*linked, found.documents[chunk]) and count <= max(2, COMMONEST * n):
                    weight = plain.get(chunk, 0.0) * math.log(1 + n / count)
                    weights[name] = max(weights.get(name, 0.0), weight)
        return ranked(weights)[:BRIDGES]


def by_graph(retriever: Retriever) -> Callable[[str], list[int]]:
    """A function from a query to the chunks that the search by way of the graph finds, best first.

    Raises:
        UserError: as `load_or_build`.
    """
    by_way = GraphRetriever(retriever, load_or_build(retriever.index))
    return lambda query: by_way.search(query).order


def _last(found: Found) -> Scores:
    """The scores of the last stage, scaled to 0 to 1."""
    return scaled(list(found.stages.values())[-1]) if found.stages else {}

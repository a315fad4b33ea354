"""Send a question to the right collections: a semantic router over centroids; in doubt, to all.

    >>> router = Router.of(retriever)
    >>> router.route(embedder.encode(["How many days of leave do I have?"])[0].vector)
    ('handbook',)

A few centroids of its chunks' vectors (k-means) stand for a collection; a question is as near to a collection
as to the nearest centroid. All collections within a margin of the nearest one are searched. Routing gains a
smaller search and fewer passages from the wrong place; its risk is that the right place isn't searched at
all. The margin keeps that risk small, and so does a second search of everything if the first one looks bad
(confidence.py).
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from step3_rag.ingest.embed import Encoded
from step3_rag.reflect.confidence import confidence
from step3_rag.reflect.loop import THRESHOLD
from step3_rag.retrieve.search import Retriever, SearchOptions, SearchResult

CENTROIDS = 24  # of each collection
MANY = 10_000  # about as many chunks of a collection are enough for its centroids
MARGIN = 0.2  # cosine: collections that are further behind the nearest are not searched


@dataclass(frozen=True)
class Router:
    """The centroids of each collection, shape (centroids, dim), length 1."""

    centroids: dict[str, np.ndarray]
    margin: float = MARGIN

    @classmethod
    def of(cls, retriever: Retriever, margin: float = MARGIN, seed: int = 0) -> Self:
        """A router for the collections of an index."""
        snapshot = retriever.snapshot
        centroids = {}
        for name in sorted(set(snapshot.collections)):
            ids = snapshot.ids[snapshot.collections == name]
            some = ids[:: 1 + len(ids) // MANY].tolist()
            centroids[name] = k_means(retriever.index.vectors(some), CENTROIDS, seed)
        return cls(centroids, margin)

    def nearness(self, vector: np.ndarray) -> dict[str, float]:
        """The cosine of a question to the nearest centroid of each collection, nearest first."""
        scores = {name: float((points @ vector).max()) for name, points in self.centroids.items()}
        return dict(sorted(scores.items(), key=lambda pair: -pair[1]))

    def route(self, vector: np.ndarray) -> tuple[str, ...]:
        """The collections to search; empty for all of them."""
        scores = self.nearness(vector)
        best = max(scores.values(), default=0.0)
        near = tuple(name for name, score in scores.items() if score >= best - self.margin)
        return () if len(near) == len(scores) else near


def search(
    retriever: Retriever, router: Router, query: str, options: SearchOptions, encoded: Encoded
) -> SearchResult:
    """Search where the router says, or everything if that looks bad; its `options` say what was searched."""
    route = router.route(encoded.vector)
    result = retriever.search(query, replace(options, collections=route), encoded)
    if route and confidence(result, retriever) < THRESHOLD:
        return retriever.search(query, options, encoded)
    return result


def k_means(vectors: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """Centres of at most k groups of vectors, scaled to length 1."""
    from sklearn.cluster import KMeans

    points = np.unique(vectors, axis=0)
    centres = KMeans(min(k, len(points)), random_state=seed, n_init=1).fit(points).cluster_centers_
    return centres / np.linalg.norm(centres, axis=1, keepdims=True)

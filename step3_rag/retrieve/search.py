"""The retrieval pipeline: search by keywords and by meaning, fuse, rerank. Every stage can be left out.

    >>> retriever = Retriever(index, store, embedder)
    >>> result = retriever.search("When does the Brightwell contract renew?", SearchOptions(k=3))
    >>> [(chunk.source, result.places(chunk.id)["bm25"].rank) for chunk in result.best]

    query ─┬─ bm25  ─ top 100 ─┐
           └─ dense ─ top 100 ─┴─ fusion ─ top 50 ─┬─ maxsim ─┬─ rerank ─ top k
                                                   └──────────┘

`result.stages` keeps the scores of every stage, since a wrong answer raises the question which stage lost the
passage.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from step3_rag.ingest.embed import Embedder, Encoded
from step3_rag.ingest.index import Chunk, Index
from step3_rag.ingest.stems import stems
from step3_rag.retrieve.fuse import min_max, ranked
from step3_rag.retrieve.reader import CosineReader, PassageReader
from step3_rag.retrieve.rerank import Scorer, idf, late_interaction
from step3_rag.retrieve.snapshot import Snapshot
from step3_rag.stores.vector_store import ChunkStore

DEPTH = 100  # candidates of each kind
RERANKED = 50  # of them

Scores = dict[int, float]  # of chunks, by their id


@dataclass(frozen=True)
class SearchOptions:
    """What a search does; the defaults measured best (chapter 7)."""

    k: int = 5
    use: tuple[str, ...] = ("bm25", "dense")
    dense_weight: float = 0.5
    rerank: Literal["maxsim", "scorer", "none"] = "maxsim"
    scorer: Scorer | None = field(default=None, compare=False, repr=False)  # for rerank="scorer"
    collections: tuple[str, ...] = ()  # empty: all
    versions: Literal["current-first", "current", "all"] = "current-first"
    before: tuple[str, ...] = ()  # earlier questions of the conversation; a rewrite may use them (reflect/)


@dataclass(frozen=True)
class Place:
    """A chunk's place at a stage."""

    rank: int  # from 1
    score: float


@dataclass
class SearchResult:
    """The outcome of a search: scores by stage, and seconds by stage."""

    query: str
    options: SearchOptions
    stages: dict[str, Scores] = field(default_factory=dict)  # in the order of the pipeline
    seconds: dict[str, float] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)  # chunk ids, best first, all candidates
    best: list[Chunk] = field(default_factory=list)  # the first k
    documents: dict[int, str] = field(default_factory=dict)  # of each candidate chunk

    def ranking(self, stage: str | None = None) -> list[str]:
        """Documents in the order of a stage (by default the last), each at the place of its best chunk."""
        order = ranked(self.stages[stage]) if stage else self.order
        return list(dict.fromkeys(self.documents[chunk] for chunk in order))

    def places(self, chunk: int) -> dict[str, Place]:
        """Rank and score of a chunk at every stage that has it."""
        places = {}
        for name, scores in self.stages.items():
            if chunk in scores:
                places[name] = Place(ranked(scores).index(chunk) + 1, scores[chunk])
        return places

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Measure the seconds that the body takes."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


class Retriever:
    """Searches one index. Made once, used for many queries."""

    def __init__(
        self, index: Index, store: ChunkStore, embedder: Embedder, reader: PassageReader | None = None
    ) -> None:
        self.index = index
        self.store = store
        self.embedder = embedder
        self.reader = reader or CosineReader(embedder)
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The current chunks; read again after an ingest has changed them."""
        if self._snapshot is None or self._snapshot.generation != self.index.generation:
            self._snapshot = Snapshot(self.index)
        return self._snapshot

    def search(
        self, query: str, options: SearchOptions = SearchOptions(), encoded: Encoded | None = None
    ) -> SearchResult:
        """Run the stages; `encoded` has the query's vectors if they are already known."""
        result = SearchResult(query, options)
        snapshot = self.snapshot  # the same chunks for all stages
        stages = result.stages
        if encoded is None:
            with result.timed("embed"):
                (encoded,) = self.embedder.encode([query])
        if "bm25" in options.use:
            with result.timed("bm25"):
                stages["bm25"] = self._bm25(snapshot, query, options)
        if "dense" in options.use:
            with result.timed("dense"):
                stages["dense"] = self._dense(snapshot, encoded, options)
        if len(stages) > 1:
            stages["fusion"] = self._fuse(result, options)
        if options.rerank != "none":
            first = list(stages.values())[-1]
            with result.timed(options.rerank):
                stages[options.rerank] = self._closer(query, encoded, first, options)
            stages["rerank"] = self._fuse_again(first, stages[options.rerank])
        result.order = self._order(result)
        for scores in stages.values():
            for chunk in scores:
                result.documents[chunk] = snapshot.names[snapshot.row_of[chunk]]
        result.best = self.index.chunks(result.order[: options.k])
        return result

    # --- the stages -----------------------------------------------------------------------------------

    def _bm25(self, snapshot: Snapshot, query: str, options: SearchOptions) -> Scores:
        scores = snapshot.keyword_scores(stems(query))
        if options.collections:
            scores = scores * np.isin(snapshot.collections, options.collections)
        top = np.argsort(-scores, kind="stable")[:DEPTH]
        return {int(snapshot.ids[row]): float(scores[row]) for row in top if scores[row] > 0}

    def _dense(self, snapshot: Snapshot, encoded: Encoded, options: SearchOptions) -> Scores:
        known = snapshot.row_of
        k = min(DEPTH, len(known))
        with self.store.one_line_errors():
            scores = self.store.nearest(encoded.vector, k, options.collections) if k else {}
        return {chunk: score for chunk, score in scores.items() if chunk in known}

    def _fuse(self, result: SearchResult, options: SearchOptions) -> Scores:
        rankings = [result.stages[name] for name in options.use]
        weights = {"bm25": 1 - options.dense_weight, "dense": options.dense_weight}
        return min_max(rankings, [weights[name] for name in options.use])

    def _closer(self, query: str, encoded: Encoded, first: Scores, options: SearchOptions) -> Scores:
        ids = ranked(first)[:RERANKED]
        if options.rerank == "scorer" and options.scorer:
            chunks = self.index.chunks(ids)  # a chunk may have been deleted in the meantime
            ids = [chunk.id for chunk in chunks]
            scores = list(options.scorer(query, [chunk.text for chunk in chunks]))
        else:
            vectors = self.index.token_vectors(ids, len(encoded.vector))
            scores = late_interaction(encoded, vectors, self.rarity(encoded.token_ids)).tolist()
        return dict(zip(ids, scores, strict=True))

    def _fuse_again(self, first: Scores, closer: Scores) -> Scores:
        same_chunks = {chunk: first[chunk] for chunk in closer}
        return min_max([same_chunks, closer], [0.5, 0.5])

    def rarity(self, token_ids: np.ndarray) -> np.ndarray:
        """The idf of tokens among the chunks, shape (n,)."""
        frequency = self.snapshot.token_frequency
        return idf(frequency[np.minimum(token_ids, len(frequency) - 1)], len(self.snapshot))

    def _order(self, result: SearchResult) -> list[int]:
        """The candidates in the order of the last stage, then the others in that of the stage before."""
        order: dict[int, None] = {}  # each once
        for scores in reversed(result.stages.values()):
            order |= dict.fromkeys(chunk for chunk in ranked(scores) if chunk not in order)
        if result.options.versions == "all":
            return list(order)
        superseded = self.snapshot.superseded
        current = [chunk for chunk in order if chunk not in superseded]
        if result.options.versions == "current":
            return current
        return current + [chunk for chunk in order if chunk in superseded]

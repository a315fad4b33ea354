"""The pipeline of search.py in the frameworks' own parts: LangChain, LlamaIndex, LangGraph.

    langchain_lcel.py       Runnables joined by |, answers by ChatAnthropic
    langgraph_rag.py        a graph of nodes, two of which run at once
    llamaindex.py           QueryFusionRetriever, a node postprocessor, a response synthesizer
    langchain_ensemble.py   not ours: LangChain's EnsembleRetriever as documented, to measure ours against

All take an open `Retriever`: the same index, the same vectors, and only the query is embedded. The first
three find what `Retriever.search` finds with its default options (the tests hold them to it), so all that
differs is how a pipeline is written down. `Parts` is what they wrap: each scorer a function of the query.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import cast

import numpy as np

from step3_rag.answer.context import Source, assemble
from step3_rag.ingest.embed import Encoded
from step3_rag.ingest.stems import stems
from step3_rag.retrieve.fuse import min_max, ranked
from step3_rag.retrieve.rerank import late_interaction
from step3_rag.retrieve.search import Options, Retriever, Scores
from step3_rag.stores.common import ChunkStore

DEFAULTS = Options()


class Parts:
    """The scorers of the pipeline, for any thread: frameworks run what they can side by side."""

    def __init__(self, retriever: Retriever, options: Options = DEFAULTS) -> None:
        self.retriever, self.options = retriever, options
        self._lock = threading.Lock()
        self._encoded = lru_cache(maxsize=64)(lambda query: retriever.embedder.encode([query])[0])

    def encoded(self, query: str) -> Encoded:
        """The query's vectors, computed once: the dense retriever and MaxSim both need them."""
        with self._lock:
            return self._encoded(query)

    def bm25(self, query: str) -> Scores:
        """The chunks with the highest BM25 scores, best first."""
        with self._lock:
            snapshot = self.retriever.snapshot
            scores = snapshot.sparse.scores(stems(query))
        best = np.argsort(-scores, kind="stable")[: self.options.depth]
        return {int(snapshot.ids[row]): float(scores[row]) for row in best if scores[row] > 0}

    def dense(self, query: str) -> Scores:
        """The chunks nearest to the query in the vector store, with their cosines."""
        vector, store = self.encoded(query).vector, cast(ChunkStore, self.retriever.store)
        with self._lock:
            known = self.retriever.snapshot.row_of
        scores = store.nearest(vector, min(self.options.depth, len(known))) if known else {}
        return {chunk: score for chunk, score in scores.items() if chunk in known}

    def reranked(self, query: str, first: Scores) -> Scores:
        """The best of a first ranking by MaxSim and that ranking's scores, mixed."""
        ids = ranked(first)[: self.options.rerank_depth]
        query_vectors = self.encoded(query)
        with self._lock:
            documents = self.retriever.index.token_vectors(ids, len(query_vectors.vector))
            rarity = self.retriever.rarity(query_vectors.token_ids)
        closer = dict(zip(ids, late_interaction(query_vectors, documents, rarity).tolist(), strict=True))
        weight = self.options.rerank_weight
        return min_max([{each: first[each] for each in ids}, closer], [1 - weight, weight])

    def sources(self, ids: list[int]) -> list[Source]:
        """Chunks as the numbered sources of an answer."""
        with self._lock:
            chunks = self.retriever.index.chunks(ids)
            return assemble(chunks, lambda text: len(self.retriever.embedder.token_spans(text)))

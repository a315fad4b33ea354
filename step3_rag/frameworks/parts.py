"""The pipeline of search.py in the frameworks' own parts: LangChain, LlamaIndex, LangGraph.

    langchain_lcel.py   Runnables joined by |, answers by ChatAnthropic
    langgraph_rag.py    a graph of nodes, two of which run at once
    llamaindex.py       QueryFusionRetriever, a node postprocessor

All take an open `Retriever`: the same index, the same vectors, and only the query is embedded. They
find what `Retriever.search` finds with its default options (the tests hold them to it), so all that
differs is how a pipeline is written down. `Parts` is what they wrap: each scorer a function of the query.
"""

from __future__ import annotations

import threading
from functools import lru_cache

from step3_rag.answer.context import Source, assemble
from step3_rag.ingest.embed import Encoded
from step3_rag.retrieve.fuse import min_max
from step3_rag.retrieve.search import Options, Retriever, Scores

DEFAULT = Options()


class Parts(Retriever):
    """A retriever's stages, for any thread: frameworks run what they can side by side."""

    def __init__(self, retriever: Retriever) -> None:
        vars(self).update(vars(retriever))  # the same index, store and embedder
        self._lock = threading.Lock()
        self._encoded = lru_cache(maxsize=64)(lambda query: retriever.embedder.encode([query])[0])

    def encoded(self, query: str) -> Encoded:
        """The query's vectors, computed once: the dense retriever and MaxSim both need them."""
        with self._lock:
            return self._encoded(query)

    def bm25(self, query: str) -> Scores:
        """The chunks with the highest BM25 scores, best first."""
        with self._lock:
            return self._bm25(self.snapshot, query, DEFAULT)

    def dense(self, query: str) -> Scores:
        """The chunks nearest to the query in the vector store, with their cosines."""
        encoded = self.encoded(query)
        with self._lock:
            return self._dense(self.snapshot, encoded, DEFAULT)

    def reranked(self, query: str, first: Scores) -> Scores:
        """The best of a first ranking by MaxSim and that ranking's scores, mixed."""
        encoded, weight = self.encoded(query), DEFAULT.rerank_weight
        with self._lock:
            closer = self._closer(query, encoded, first, DEFAULT)
        return min_max([{each: first[each] for each in closer}, closer], [1 - weight, weight])

    def sources(self, ids: list[int]) -> list[Source]:
        """Chunks as the numbered sources of an answer."""
        with self._lock:
            return assemble(self.index.chunks(ids), lambda text: len(self.embedder.token_spans(text)))

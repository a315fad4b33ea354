"""The retrieval pipeline of search.py, built with LangChain, LlamaIndex or LangGraph.

    langchain_lcel.py   Runnables joined by |, answers by ChatAnthropic
    langgraph_rag.py    a graph with a loop: retrieve, judge, rewrite, retrieve
    llamaindex.py       QueryFusionRetriever, a node postprocessor

    >>> answer, sources = answer_with("langgraph", retriever, "When does it renew?")

All three use an open `Retriever`: the same index and vectors; only the query is embedded. LangChain and
LlamaIndex find what `Retriever.search` finds with its default options, LangGraph what `reflect` finds, which
searches again when in doubt (tests check it). So they differ only in how the pipeline is written. The first
two wrap `Parts`, which has each stage as a function of the query. None of them abstains.
"""

from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol

import anthropic

from shared.errors import UserError
from step3_rag.answer import read
from step3_rag.answer.context import Source, assemble
from step3_rag.reflect.confidence import evidence_in
from step3_rag.retrieve.search import Retriever, Scores, SearchOptions, SearchResult

DEFAULT = SearchOptions()
MODULES = {"langchain": "langchain_lcel", "llamaindex": "llamaindex", "langgraph": "langgraph_rag"}


class Parts(Retriever):
    """A retriever's stages as functions, which frameworks may run in parallel: they only read."""

    def __init__(self, retriever: Retriever) -> None:
        super().__init__(retriever.index, retriever.store, retriever.embedder)
        # The query is embedded once for both dense search and MaxSim.
        self._encoded = lru_cache(maxsize=64)(lambda query: retriever.embedder.encode([query])[0])

    def bm25(self, query: str) -> Scores:
        """The chunks with the highest BM25 scores, best first."""
        return self._bm25(self.snapshot, query, DEFAULT)

    def dense(self, query: str) -> Scores:
        """The chunks nearest to the query in the vector store, with their cosines."""
        return self._dense(self.snapshot, self._encoded(query), DEFAULT)

    def reranked(self, query: str, first: Scores) -> Scores:
        """The last order: by MaxSim and the first ranking's scores, superseded versions last."""
        closer = self._closer(query, self._encoded(query), first, DEFAULT)
        scores = self._fuse_again(first, closer)
        result = SearchResult(query, DEFAULT, {"fusion": first, "rerank": scores})
        return {chunk: scores.get(chunk, first[chunk]) for chunk in self._order(result)}

    def sources(self, ids: list[int]) -> list[Source]:
        """Chunks as the numbered sources of an answer."""
        return assemble(self.index.chunks(ids), self.embedder.count_tokens)


class Framework(Protocol):
    """What the module of each framework has; each has more of its own."""

    def search(self, retriever: Retriever, question: str, k: int) -> list[int]:
        """The numbers of the k best chunks, best first."""

    def __getattr__(self, name: str) -> Any: ...


def load(name: str) -> Framework:
    """The module of a framework, a key of MODULES.

    Raises:
        UserError: the framework is not installed.
    """
    try:
        module: Any = import_module(f"step3_rag.frameworks.{MODULES[name]}")
    except ImportError as error:
        extra = "llamaindex" if name == "llamaindex" else "step3"
        raise UserError(f"{name} is not installed ({error.name}): pip install '.[{extra}]'") from None
    return module


def answer_with(
    name: str,
    retriever: Retriever,
    question: str,
    client: anthropic.Anthropic | None = None,
    model: str = "",
    k: int = 5,
) -> tuple[read.Answer, list[Source]]:
    """An answer by our readers from the passages that a framework finds; without a client, a quote.

    Raises:
        UserError: the framework is not installed.
    """
    framework = load(name)
    if name == "langchain" and client:
        outcome = framework.answer_chain(retriever, client, model, k).invoke(question)
        sources = Parts(retriever).sources(framework.ids_of(outcome["documents"]))
        return read.Answer(outcome["answer"], read.check(outcome["answer"], sources)), sources
    ids = framework.search(retriever, question, k)
    sources = Parts(retriever).sources(ids)
    if client:
        return read.chat(client, model, question, sources), sources
    evidence = evidence_in(retriever.index.chunks(ids), question, retriever.reader)
    return read.quote(evidence, sources), sources

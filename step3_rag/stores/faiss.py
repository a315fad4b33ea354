"""FAISS: exact, in memory; filled from the index each time it is opened (18,000 chunks in about a second).

    $ pip install -c constraints.txt ".[faiss]"
    $ python -m step3_rag search "When does it renew?" --store faiss

Nothing is written: LangChain's FAISS keeps its texts in a pickle file, and to load one runs whatever code
somebody has put there (Johnson, Douze and Jégou 2017, arXiv:1702.08734).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import faiss
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from shared.errors import UserError
from step3_rag.ingest.embed import Embedder

with warnings.catch_warnings():
    # LangChain's own FAISS is in the community package, which says at import that nobody looks after it.
    warnings.filterwarnings("ignore", "`langchain-community` is being sunset", DeprecationWarning)
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores.faiss import FAISS
    from langchain_community.vectorstores.utils import DistanceStrategy

ERRORS: tuple[type[Exception], ...] = ()  # there is nobody else who could fail


class ExactFAISS(FAISS):
    """LangChain's FAISS; of it, only that a filtered search looks at everything.

    FAISS knows nothing of metadata: LangChain filters what it finds, by default among the 20 nearest only.
    """

    def __init__(self, embedder: Embedder) -> None:
        # Vectors have length 1: their inner product is the cosine. The width is known with the first one.
        super().__init__(
            embedder,
            None,
            InMemoryDocstore(),
            {},
            distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT,
        )

    def add_texts(
        self,
        texts: Any,
        metadatas: list[dict[str, Any]] | None = None,
        ids: list[str] | None = None,
        **more: Any,
    ) -> list[str]:
        texts = list(texts)
        vectors = self._embed_documents(texts)
        if self.index is None and vectors:
            self.index = faiss.IndexFlatIP(len(vectors[0]))
        return self.add_embeddings(zip(texts, vectors, strict=True), metadatas, ids, **more)

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, filter: Any = None, fetch_k: int = 20, **more: Any
    ) -> list[tuple[Document, float]]:
        if self.index is None:
            return []
        everything = max(fetch_k, self.index.ntotal)
        return super().similarity_search_with_score_by_vector(embedding, k, filter, everything, **more)


def connect(folder: Path, embedder: Embedder, address: str | None) -> VectorStore:  # noqa: ARG001
    """A new one, with nothing in it."""
    if address:
        raise UserError("--address is for a server, and FAISS is none: leave it out")
    return ExactFAISS(embedder)


def held(store: VectorStore) -> set[int]:
    """The chunks that are in it."""
    assert isinstance(store, FAISS)
    return {int(each) for each in store.index_to_docstore_id.values()}


def count(store: VectorStore, expected: int) -> int:  # noqa: ARG001
    """How many chunks are in it."""
    return len(held(store))


def empty(store: VectorStore) -> None:
    """Take everything out."""
    assert isinstance(store, FAISS)
    store.delete(list(store.index_to_docstore_id.values()))

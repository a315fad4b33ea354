"""FAISS: exact, in memory; filled from the index each time it is opened (18,000 chunks in about a second).

    $ pip install -c constraints.txt ".[faiss]"
    $ python -m step3_rag search "When does it renew?" --store faiss

Johnson, Douze and Jégou 2017, arXiv:1702.08734.
"""

import threading
from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np

from shared.errors import UserError
from step3_rag.ingest.index import Chunk, Index
from step3_rag.stores import vector_store


class Store(vector_store.ChunkStore):
    """A flat index of inner products, which are the cosines of vectors of length 1."""

    name = "faiss"
    in_memory = True

    def __init__(self, index: Index, address: str | None) -> None:  # noqa: ARG002
        if address:
            raise UserError("--address is for a server, but FAISS runs in this process: leave it out")
        self.index: Any = None  # created when the number of dimensions is known
        self.collection_of: dict[int, str] = {}  # by chunk, since FAISS has no metadata
        self._lock = threading.RLock()  # FAISS may not be searched while another thread changes it

    def upsert(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        with self._lock:
            if self.index is None:
                self.index = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
            self.delete([chunk.id for chunk in chunks])
            self.index.add_with_ids(vectors, np.array([chunk.id for chunk in chunks]))
            self.collection_of |= {chunk.id: chunk.collection for chunk in chunks}

    def delete(self, ids: Sequence[int]) -> None:
        with self._lock:
            if self.index is not None:
                self.index.remove_ids(np.array(ids, np.int64))
            for id in ids:
                self.collection_of.pop(id, None)

    def nearest(self, vector: np.ndarray, k: int, collections: Sequence[str] = ()) -> dict[int, float]:
        if self.index is None:
            return {}
        with self._lock:
            params = None
            if collections:
                among = [chunk for chunk, name in self.collection_of.items() if name in collections]
                params = faiss.SearchParameters(sel=faiss.IDSelectorBatch(among))  # type: ignore
            (cosines,), (ids,) = self.index.search(vector[None], k, params=params)
        return {int(chunk): float(cosine) for chunk, cosine in zip(ids, cosines, strict=True) if chunk >= 0}

    def ids(self) -> set[int]:
        return set(self.collection_of)

    def count(self) -> int:
        return len(self.collection_of)

"""Pinecone: a service. Its key comes from PINECONE_API_KEY; the address is the host of one of your indexes.

    $ pip install -c constraints.txt ".[pinecone]"
    $ export PINECONE_API_KEY=...
    $ python -m step3_rag search "When does it renew?" --store pinecone --address https://NAME-ab12.svc.pinecone.io

Create the index first, with the metric cosine and the embedder's number of dimensions (384 for MiniLM); the
chunks get their own namespace in it. Pinecone's local emulator is the image pinecone-index; with PORT=5081,
DIMENSION=384 and METRIC=cosine in its environment, it answers on http://localhost:5081.
"""

import contextlib
import os
from collections.abc import Sequence

import numpy as np
import urllib3
from pinecone import Pinecone
from pinecone.exceptions import NotFoundException, PineconeException

from shared.errors import UserError
from step3_rag.ingest.index import Chunk, Index
from step3_rag.stores import vector_store

ADVICE = "copy the host of your index from Pinecone's console"


class Store(vector_store.ChunkStore):
    """A namespace of a Pinecone index; Pinecone creates it with the first chunk.

    Raises:
        UserError: key or address are missing, the server doesn't answer, or the index has another metric.
    """

    name = "pinecone"
    errors = (PineconeException, urllib3.exceptions.HTTPError)
    batch = 200  # a request may have 2 MB and 1,000 chunks

    def __init__(self, index: Index, address: str | None) -> None:
        key = os.environ.get("PINECONE_API_KEY")
        if not key:
            raise UserError("--store pinecone needs a key: set PINECONE_API_KEY")
        if not address:
            raise UserError(f"--store pinecone needs the host of an index, --address https://...: {ADVICE}")
        self.namespace = vector_store.collection_name(index)
        https = address if "://" in address else f"https://{address}"
        url = vector_store.reach("Pinecone", https, 443, "/", ADVICE)
        self.index = Pinecone(key).Index(host=str(url))
        metric = self.index.describe_index_stats(**_timeout()).to_dict().get("metric", "cosine")
        if metric == "euclidean":
            raise UserError(f"the index at {url} has the metric {metric}: make one with the metric cosine")

    def upsert(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        rows = [
            (str(chunk.id), vector.tolist(), {"collection": chunk.collection})
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        self.index.upsert(rows, self.namespace, **_timeout())

    def delete(self, ids: Sequence[int]) -> None:
        with contextlib.suppress(NotFoundException):  # no namespace: nothing was ever added
            self.index.delete([str(id) for id in ids], namespace=self.namespace, **_timeout())

    def nearest(self, vector: np.ndarray, k: int, collections: Sequence[str] = ()) -> dict[int, float]:
        among = vector_store.in_collections(collections)
        result = self.index.query(
            vector=vector.tolist(), top_k=k, filter=among, namespace=self.namespace, **_timeout()
        )
        return {int(match.id): float(match.score) for match in result.matches}

    def ids(self) -> set[int]:
        pages = self.index.list(namespace=self.namespace, **_timeout())
        ids: set[int] = set()
        for page in pages:
            ids.update(map(int, page))
        return ids

    def count(self) -> int:  # a little late
        spaces = self.index.describe_index_stats(**_timeout()).namespaces
        return int(spaces[self.namespace].vector_count) if self.namespace in spaces else 0


def _timeout() -> dict[str, tuple[float, float]]:
    """For each request; by default, the client has no time limit."""
    return {"_request_timeout": (vector_store.CONNECT, vector_store.READ)}

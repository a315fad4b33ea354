"""Chroma: in this process, on disk in the index's folder; or, with an address, a server.

    $ chroma run --path ./chroma --port 8000
    $ python -m step3_rag search "When does it renew?" --store chroma --address http://localhost:8000

What is on disk is a copy: if it is deleted, the next search fills it again from the index.
"""

from collections.abc import Sequence
from typing import Any

import chromadb
import httpx
import numpy as np
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.errors import ChromaError

from shared.errors import UserError, reason
from step3_rag.ingest.index import Chunk, Index
from step3_rag.stores import vector_store

# Wider searches than its defaults: among 18,000 chunks those missed some of the true hundred nearest.
HNSW: Any = {"space": "cosine", "ef_construction": 200, "ef_search": 200}

ADVICE = "start one with `chroma run --path ./chroma`"


class Store(vector_store.ChunkStore):
    """A collection on a server, or the one in the index's folder.

    Raises:
        UserError: the server doesn't answer, or the collection in the folder can't be read.
    """

    name = "chroma"
    errors = (ChromaError, httpx.HTTPError)  # one request takes 5,461 chunks at most

    def __init__(self, index: Index, address: str | None) -> None:
        if address:
            self._open(_server(address), vector_store.collection_name(index))
            return
        home = index.folder / "chroma"
        if not (home / "chroma.sqlite3").exists():
            # Otherwise the library would go on using files that it holds open though they were deleted.
            SharedSystemClient.clear_system_cache()
        try:
            # The library keeps a client for each path: a relative one may mean another folder by now.
            self._open(chromadb.PersistentClient(str(home.absolute()), _settings()), "chunks")
            self.collection.get(limit=1, include=["embeddings"])  # reads both the tables and the graph
        except Exception as error:  # damage raises anything, from SQLite's errors to AttributeError
            raise UserError(
                f"the vector store in {home} cannot be read: delete it, the next search fills it again "
                f"({reason(error)})"
            ) from None

    def _open(self, client: Any, collection: str) -> None:
        self.client = client
        self.collection = client.get_or_create_collection(
            collection, configuration={"hnsw": HNSW}, embedding_function=None
        )

    def upsert(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        collections = [{"collection": chunk.collection} for chunk in chunks]
        self.collection.upsert([str(chunk.id) for chunk in chunks], vectors, collections)

    def delete(self, ids: Sequence[int]) -> None:
        self.collection.delete([str(id) for id in ids])

    def nearest(self, vector: np.ndarray, k: int, collections: Sequence[str] = ()) -> dict[int, float]:
        result = self.collection.query(
            vector[None], n_results=k, where=vector_store.in_collections(collections), include=["distances"]
        )
        pairs = zip(result["ids"][0], result["distances"][0], strict=True)
        return {int(chunk): 1.0 - distance for chunk, distance in pairs}

    def ids(self) -> set[int]:
        return {int(id) for id in self.collection.get(include=[])["ids"]}

    def count(self) -> int:
        return int(self.collection.count())


def _settings() -> chromadb.Settings:
    """New settings for each client, since a client writes its address into them."""
    return chromadb.Settings(anonymized_telemetry=False)


def _server(address: str) -> Any:
    url = vector_store.reach("Chroma", address, 8000, "/api/v2/heartbeat", ADVICE)
    secure = url.scheme == "https"
    client: Any = chromadb.HttpClient(url.host, url.port or 443, ssl=secure, settings=_settings())
    limits = httpx.Timeout(vector_store.READ, connect=vector_store.CONNECT)  # by default, there are none
    client._server._session.timeout = limits
    return client

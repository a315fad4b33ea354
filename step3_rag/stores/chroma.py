"""Chroma: in this process, on disk in the index's folder; or, with an address, a server of it.

    $ chroma run --path ./chroma --port 8000
    $ python -m step3_rag search "When does it renew?" --store chroma --address http://localhost:8000

What lies on disk is a copy: where it can't be read any more, it is made anew from the index.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

import chromadb
import httpx
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.errors import ChromaError
from langchain_chroma import Chroma
from langchain_core.vectorstores import VectorStore

from shared.errors import UserError, reason
from step3_rag.ingest.embed import Embedder
from step3_rag.stores.common import CONNECT, READ, Address, DamagedStore, collection_of, unreachable

ERRORS: tuple[type[Exception], ...] = (ChromaError, httpx.HTTPError)
# Wider searches than its defaults: among 18,000 chunks they missed some of the true hundred nearest.
GRAPH: Any = {"space": "cosine", "ef_construction": 200, "ef_search": 200}
ADVICE = "start one with `chroma run --path ./chroma`"
TRIES = 3  # another process may be in the middle of writing


def connect(folder: Path, embedder: Embedder, address: str | None) -> VectorStore:
    """The collection of an index on a server, or the one in its folder."""
    if address:
        return _collection(_server(Address.read(address, 8000)), collection_of(folder), embedder)
    return _on_disk(folder / "chroma", embedder)


def count(store: VectorStore, expected: int) -> int:  # noqa: ARG001 (a Chroma knows at once)
    """How many chunks are in it."""
    return _chroma(store)._collection.count()


def empty(store: VectorStore) -> None:
    """Take everything out."""
    _chroma(store).reset_collection()


def _chroma(store: VectorStore) -> Chroma:
    assert isinstance(store, Chroma)
    return store


def _collection(client: Any, name: str, embedder: Embedder) -> Chroma:
    return Chroma(
        name,
        embedder,
        client=client,
        collection_configuration={"hnsw": GRAPH},
    )


def _settings() -> chromadb.Settings:
    """New ones each time: a client writes its address into them, and the next would follow it."""
    return chromadb.Settings(anonymized_telemetry=False)


def _server(at: Address) -> Any:
    try:
        httpx.get(f"{at.url}/api/v2/heartbeat", timeout=CONNECT).raise_for_status()
        client: Any = chromadb.HttpClient(at.host, at.port, ssl=at.secure, settings=_settings())
    except (httpx.HTTPError, ValueError, *ERRORS) as error:
        raise unreachable("Chroma", at.url, error, ADVICE) from None
    client._server._session.timeout = httpx.Timeout(READ, connect=CONNECT)  # it would wait for ever
    return client


def _on_disk(home: Path, embedder: Embedder) -> Chroma:
    """The store in a folder.

    Raises:
        DamagedStore: it can't be read.
    """
    if not (home / "chroma.sqlite3").exists():
        # The library would go on with the files that it has open, though nobody else can see them any more.
        SharedSystemClient.clear_system_cache()
    for attempt in range(TRIES):
        with contextlib.suppress(Exception):  # of many kinds, from SQLite's to AttributeError
            return _readable(home, embedder)
        SharedSystemClient.clear_system_cache()  # it keeps what failed to start, too
        time.sleep(0.2 * attempt)
    raise DamagedStore(f"the Chroma store in {home} cannot be read: `step3_rag ingest` makes it anew")


def remove(folder: Path) -> None:
    """Throw away the store in an index's folder; the index's lock has to be held.

    Raises:
        UserError: it can't be removed.
    """
    home = folder / "chroma"
    try:
        shutil.rmtree(home) if home.is_dir() else home.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the Chroma store in {home} anew ({reason(error)}): "
            "see to it that the folder can be written to, or use --store faiss"
        ) from None


def _readable(home: Path, embedder: Embedder) -> Chroma:
    """The store, after a look at what a search reads: its tables and its graph.

    Raises:
        Exception: it is damaged.
    """
    client: Any = chromadb.PersistentClient(str(home), _settings())
    try:
        store = _collection(client, "chunks", embedder)
        found = store._collection.get(limit=1, include=["embeddings"])
        if found["ids"]:
            near = store._collection.query(query_embeddings=found["embeddings"], n_results=1)
            if not near["ids"][0]:
                raise ValueError("it finds nothing")
    except BaseException:
        with contextlib.suppress(Exception):
            client.close()
        raise
    return store

"""The vector stores: Chroma, and by extras FAISS, Weaviate and Pinecone.

    >>> store = open_store("chroma", index)
    >>> sync(index, store)
    >>> store.nearest(vector, k=100)
    {1742: 0.69, ...}

A store has each chunk's vector and collection, under the chunk's id; the texts stay in the index. A chunk
never changes under its id, so `sync` compares the ids, adds the missing chunks and deletes those that the
index no longer has.
"""

import contextlib
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import httpx
import numpy as np

from shared.errors import UserError, reason
from step3_rag.ingest.index import Chunk, Index

NAMES = ("chroma", "faiss", "weaviate", "pinecone")
CONNECT = 5.0  # seconds until a server must have answered at all
READ = 60.0  # seconds for a request


class ChunkStore(ABC):
    """The vectors of an index's chunks in one store, by the store's own client."""

    name: ClassVar[str]
    errors: ClassVar[tuple[type[Exception], ...]] = ()  # what the client raises when a request fails
    in_memory: ClassVar[bool] = False  # it belongs to this process only
    batch: ClassVar[int] = 2000  # chunks that `upsert` and `delete` get at once, at most
    address: str | None = None  # of its server

    @abstractmethod
    def __init__(self, index: Index, address: str | None) -> None:
        """Open the store of an index; it may be empty."""

    @abstractmethod
    def upsert(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        """Add or replace chunks; vectors: (len(chunks), dim), of length 1."""

    @abstractmethod
    def delete(self, ids: Sequence[int]) -> None:
        """Delete chunks."""

    @abstractmethod
    def nearest(self, vector: np.ndarray, k: int, collections: Sequence[str] = ()) -> dict[int, float]:
        """The k chunks nearest to a vector, in some collections or in all: id -> cosine, best first."""

    @abstractmethod
    def ids(self) -> set[int]:
        """The ids of all chunks in the store."""

    @abstractmethod
    def count(self) -> int:
        """How many chunks the store has; faster than `ids`."""

    @classmethod
    @contextlib.contextmanager
    def one_line_errors(cls) -> Iterator[None]:
        """Turn an error of the client into a UserError of one line."""
        try:
            yield
        except cls.errors as error:
            why = reason(error)
            with contextlib.suppress(KeyError, TypeError, ValueError):  # Pinecone's texts begin with headers
                why = str(json.loads(getattr(error, "body", None) or "")["message"])
            raise UserError(f"the vector store {cls.name} failed: {why}") from None


def open_store(name: str, index: Index, address: str | None = None) -> ChunkStore:
    """Open the store of that name for an index; it may be empty.

    Args:
        address: of a server, e.g. http://localhost:8000; None for the store in this process, or the default.

    Raises:
        UserError: no such store, its extra is not installed, or it can't be reached or read.
    """
    kind = store_class(name)
    with kind.one_line_errors():
        store = kind(index, address)
    store.address = address
    return store


def store_class(name: str) -> type[ChunkStore]:
    """The class of the store of that name.

    Raises:
        UserError: no such store, or its extra is not installed.
    """
    if name not in NAMES:
        raise UserError(f"--store {name} is not known: use {', '.join(NAMES)}")
    try:
        return importlib.import_module(f"step3_rag.stores.{name}").Store
    except ModuleNotFoundError as error:
        raise UserError(
            f"--store {name} needs a package that is not installed ({error.name}): "
            f'pip install -c constraints.txt ".[{"step3" if name == "chroma" else name}]"'
        ) from None


# --- for the stores ------------------------------------------------------------------------------------


def in_collections(collections: Sequence[str]) -> dict[str, Any] | None:
    """The filter of Chroma and Pinecone for these collections; None, which filters nothing, for no names."""
    return {"collection": {"$in": list(collections)}} if collections else None


def collection_name(index: Index) -> str:
    """The name of an index's collection on a server, in characters that every store allows."""
    return f"Chunks_{index.facts['id']}"


def reach(server: str, address: str, port: int, path: str, advice: str) -> httpx.URL:
    """The URL of a server that answers; the server's own client would wait much longer.

    Args:
        address: `host`, `host:port` or a URL; `port` is the default for http.
        path: a page of the server, for the check.

    Raises:
        UserError: it is not an address, or no server answers; then the message ends with `advice`.
    """
    try:
        url = httpx.URL(address if "://" in address else f"http://{address}")
        if url.scheme == "http" and not url.port:
            url = url.copy_with(port=port)
        httpx.get(url.join(path), timeout=CONNECT)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise UserError(
            f"--address {address} is not an address: write it like http://localhost:{port}"
        ) from None
    except httpx.HTTPError as error:
        place = address.partition("?")[0]
        raise UserError(f"no {server} answers at {place} ({reason(error)}): {advice}") from None
    return url


# --- keeping up with the index ------------------------------------------------------------------------


def is_current(index: Index, store: ChunkStore) -> bool:
    """Whether the store holds exactly the index's chunks, by its last `sync` and its count; fast.

    Raises:
        UserError: the store fails.
    """
    key = _key(store.name, store.address)
    noted = index.rows("SELECT generation FROM copies WHERE store = ?", (key,))
    with store.one_line_errors():
        if store.in_memory:
            return store.ids() == _chunk_ids(index)
        return noted == [(index.generation,)] and store.count() == len(_chunk_ids(index))


def sync(index: Index, store: ChunkStore) -> None:
    """Make the store hold exactly the index's chunks.

    The caller holds the index's lock, except for a store in memory. After a failure or a kill, the next call
    continues.

    Raises:
        UserError: the store fails.
    """
    _note(index, store, -1)  # first, so that `forget` also knows a half-written copy
    # One generation of the index, whatever is written to it meanwhile.
    with index.transaction("DEFERRED"), store.one_line_errors():
        generation = index.generation
        required = _chunk_ids(index)
        stored = store.ids()
        for batch in _batches(stored - required, store.batch):
            store.delete(batch)
        for batch in _batches(required - stored, store.batch):
            store.upsert(index.chunks(batch), index.vectors(batch))
    _note(index, store, generation)


def _note(index: Index, store: ChunkStore, generation: int) -> None:
    if not store.in_memory:  # that one is lost with its process, and filled without the lock
        key = _key(store.name, store.address)
        index.db.execute("INSERT OR REPLACE INTO copies VALUES (?, ?)", (key, generation))


def sync_copies(index: Index) -> dict[str, str]:
    """Sync Chroma and every other store that holds a copy; the caller holds the index's lock.

    Returns the copies that could not be synced, with the reason.
    """
    behind: dict[str, str] = {}
    noted = [row[0] for row in index.rows("SELECT store FROM copies")]
    for copy in dict.fromkeys(["chroma", *noted]):
        name, _, address = copy.partition(" ")
        try:
            sync(index, open_store(name, index, address or None))
        except UserError as error:
            behind[copy] = str(error)
    return behind


def _key(name: str, address: str | None) -> str:
    """The name of a copy in the index, which may have several, on several servers."""
    return f"{name} {address.rstrip('/')}" if address else name


def _batches(ids: set[int], size: int) -> list[list[int]]:
    ordered = sorted(ids)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _chunk_ids(index: Index) -> set[int]:
    return {row[0] for row in index.rows("SELECT id FROM chunks")}

"""What every store offers, and what those on a server share: addresses, time-outs, one line of error.

>>> read_address("localhost", 8000)
URL('http://localhost:8000')
"""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np

from shared.errors import UserError, reason
from step3_rag.ingest.index import Chunk, Index

CONNECT = 5.0  # seconds until a server must have answered at all
READ = 60.0  # seconds for a request


class ChunkStore(ABC):
    """The vectors of an index's chunks in one store, by the store's own client."""

    name: ClassVar[str]
    errors: ClassVar[tuple[type[Exception], ...]] = ()  # what the client raises when a request fails
    address: str | None

    @abstractmethod
    def __init__(self, folder: Path, address: str | None) -> None:
        """Open what belongs to the index in a folder, empty or as it was left."""

    @abstractmethod
    def upsert(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        """Add or replace chunks, under their numbers; vectors: (len(chunks), dim), of length 1."""

    @abstractmethod
    def delete(self, ids: Sequence[int]) -> None:
        """Delete chunks by their numbers."""

    @abstractmethod
    def nearest(self, vector: np.ndarray, k: int, collections: Sequence[str] = ()) -> dict[int, float]:
        """The k chunks nearest to a vector, of some collections or of all: number -> cosine, best first."""

    @abstractmethod
    def ids(self) -> set[int]:
        """The numbers of the chunks that it holds."""

    @abstractmethod
    def count(self) -> int:
        """How many these are; quicker."""

    @classmethod
    @contextlib.contextmanager
    def explained(cls) -> Iterator[None]:
        """Turn an error of the client into a UserError of one line."""
        try:
            yield
        except cls.errors as error:
            said = reason(error)
            with contextlib.suppress(KeyError, TypeError, ValueError):  # Pinecone's begin with all headers
                said = str(json.loads(getattr(error, "body", None) or "")["message"])
            raise UserError(f"the vector store {cls.name} failed: {said}") from None


def metadata_of(chunk: Chunk) -> dict[str, Any]:
    """What a store keeps with a chunk's text."""
    return {"document": chunk.document, "collection": chunk.collection}


def in_collections(collections: Sequence[str]) -> dict[str, Any] | None:
    """The filter of Chroma and Pinecone for these collections; none: all."""
    return {"collection": {"$in": list(collections)}} if collections else None


def collection_name(folder: Path) -> str:
    """The name of an index's collection on a server, in letters that every store allows."""
    with contextlib.closing(Index.open(folder, {})) as index:
        return f"Chunks_{index.facts['id']}"


def read_address(text: str, port: int) -> httpx.URL:
    """The address of a server from `host`, `host:port` or a URL; `port` is used where http:// names none.

    Raises:
        UserError: it is not an address.
    """
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(f"--address {text} is not an address: write it like http://localhost:{port}")
    return url if url.port or url.scheme == "https" else url.copy_with(port=port)


@contextlib.contextmanager
def connecting(server: str, url: httpx.URL, path: str, advice: str) -> Iterator[None]:
    """Connect to a server that has answered a first request; its client would wait much longer for that.

    Raises:
        UserError: it doesn't answer, with `advice`.
    """
    try:
        httpx.get(url.join(path), timeout=CONNECT)
        yield
    except (httpx.HTTPError, OSError, ValueError) as error:
        place = f"{url.scheme}://{url.netloc.decode()}"
        raise UserError(f"no {server} answers at {place} ({reason(error)}): {advice}") from None

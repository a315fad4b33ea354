"""The interface of all stores; and addresses, time-outs and one-line errors for those on a server.

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
    batch: ClassVar[int] = 2000  # chunks that `upsert` and `delete` get at once, at most
    address: str | None

    @abstractmethod
    def __init__(self, folder: Path, address: str | None) -> None:
        """Open the store of the index in a folder; it may be empty."""

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


def metadata_of(chunk: Chunk) -> dict[str, Any]:
    """The metadata that a store keeps with a chunk's text."""
    return {"document": chunk.document, "collection": chunk.collection}


def in_collections(collections: Sequence[str]) -> dict[str, Any] | None:
    """The filter of Chroma and Pinecone for these collections; None, which filters nothing, for no names."""
    return {"collection": {"$in": list(collections)}} if collections else None


def collection_name(folder: Path) -> str:
    """The name of an index's collection on a server, in characters that every store allows."""
    with contextlib.closing(Index.open(folder, {})) as index:
        return f"Chunks_{index.facts['id']}"


def read_address(text: str, port: int) -> httpx.URL:
    """Parse `host`, `host:port` or a URL; `port` is the default for http.

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
    """Check that a server answers, since its own client would wait much longer; then run the body.

    Raises:
        UserError: it doesn't answer; the message ends with `advice`.
    """
    try:
        httpx.get(url.join(path), timeout=CONNECT)
        yield
    except (httpx.HTTPError, OSError, ValueError) as error:
        place = f"{url.scheme}://{url.netloc.decode()}"
        raise UserError(f"no {server} answers at {place} ({reason(error)}): {advice}") from None

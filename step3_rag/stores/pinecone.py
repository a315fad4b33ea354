"""Pinecone: a service. Its key comes from PINECONE_API_KEY; the address is the host of an index of yours.

    $ pip install -c constraints.txt ".[pinecone]"
    $ export PINECONE_API_KEY=...
    $ python -m step3_rag search "When does it renew?" --store pinecone --address https://NAME-ab12.svc.pinecone.io

The index must be made before, with the metric cosine and the width of the embedder (384 for MiniLM); our
chunks get a namespace of their own in it. Pinecone's local emulator is a server on http://localhost:5081:
`docker run -p 5081:5081 -e PORT=5081 -e DIMENSION=384 -e METRIC=cosine ghcr.io/pinecone-io/pinecone-index`.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import urllib3
from langchain_core.vectorstores import VectorStore
from langchain_pinecone import PineconeVectorStore
from pinecone.config.openapi_config_factory import OpenApiConfigFactory
from pinecone.db_data.index import Index
from pinecone.exceptions import NotFoundException, PineconeException

from shared.errors import UserError
from step3_rag.ingest.embed import Embedder
from step3_rag.stores.common import CONNECT, READ, Address, collection_of, unreachable

ERRORS: tuple[type[Exception], ...] = (PineconeException, urllib3.exceptions.HTTPError)
BUSY = (429, 500, 502, 503, 504)  # HTTP statuses after which to try again
SETTLE = 10.0  # seconds: what was written is counted a little later
ADVICE = "copy the host of your index from Pinecone's console"


class BoundedIndex(Index):
    """Pinecone's index, which by itself waits for ever, and six times at that."""

    def __init__(self, key: str, at: Address) -> None:
        settings = OpenApiConfigFactory.build(key)
        settings.retries = urllib3.Retry(
            5, connect=0, read=0, backoff_factor=0.25, status_forcelist=BUSY, allowed_methods=None
        )
        super().__init__(key, at.url, pool_threads=4, openapi_config=settings)

    def upsert(self, *args: Any, **more: Any) -> Any:
        return super().upsert(*args, _request_timeout=(CONNECT, READ), **more)

    def query(self, *args: Any, **more: Any) -> Any:
        return super().query(*args, _request_timeout=(CONNECT, READ), **more)

    def delete(self, *args: Any, **more: Any) -> Any:
        return super().delete(*args, _request_timeout=(CONNECT, READ), **more)

    def describe_index_stats(self, *args: Any, **more: Any) -> Any:
        return super().describe_index_stats(*args, _request_timeout=CONNECT, **more)


def connect(folder: Path, embedder: Embedder, address: str | None) -> VectorStore:
    """The namespace of an index; Pinecone makes it with the first chunk."""
    key = os.environ.get("PINECONE_API_KEY")
    if not key:
        raise UserError("--store pinecone needs a key: set PINECONE_API_KEY")
    if not address:
        raise UserError(f"--store pinecone needs the host of an index, --address https://...: {ADVICE}")
    at = Address.read(address if "://" in address else f"https://{address}", 443)
    index = BoundedIndex(key, at)
    try:
        metric = index.describe_index_stats().to_dict().get("metric", "cosine")
    except urllib3.exceptions.HTTPError as error:
        cause = getattr(error, "reason", None) or error  # behind "max retries exceeded"
        raise unreachable("Pinecone", at.url, cause, ADVICE) from None
    if metric == "euclidean":
        raise UserError(f"the index at {at.url} measures {metric} distance: make one with the metric cosine")
    return PineconeVectorStore(index, embedder, namespace=collection_of(folder))


def count(store: VectorStore, expected: int) -> int:
    """How many chunks are in it; asked for some seconds until it is what was expected."""
    found = _pinecone(store)
    until = time.monotonic() + SETTLE
    while True:
        spaces = found.index.describe_index_stats().namespaces
        there = int(spaces[found._namespace].vector_count) if found._namespace in spaces else 0
        if there == expected or time.monotonic() > until:
            return there
        time.sleep(SETTLE / 20)


def empty(store: VectorStore) -> None:
    """Take everything out."""
    with contextlib.suppress(NotFoundException):  # there never was anything
        _pinecone(store).delete(delete_all=True)


def _pinecone(store: VectorStore) -> PineconeVectorStore:
    assert isinstance(store, PineconeVectorStore)
    return store

"""The vector stores, each by LangChain's own class: Chroma here, and FAISS, Weaviate, Pinecone by extras.

    >>> store = open_store("chroma", Path("rag-index"), embedder)
    >>> sync(index, store, "chroma", embedder)
    >>> nearest(store, "chroma", embedder, vector, k=100)
    {1742: 0.69, ...}

A store holds a copy of what the index holds: the vector of every chunk under the chunk's number. `sync`
brings it up to date, adding what is new and taking out what is gone, and notes each step in the index only
after the store has confirmed it; whatever dies in between, the next `sync` goes on from there. A copy that
is gone or has lost something is filled anew: it holds fewer chunks than the notes say.

What is particular to a store is in chroma.py, faiss.py, weaviate.py and pinecone.py.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from langchain_core.vectorstores import VectorStore

from shared.errors import UserError, reason
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index
from step3_rag.stores.common import DamagedStore

NAMES = ("chroma", "faiss", "weaviate", "pinecone")
BATCH = 2000  # Chroma takes 5,461 at most


class Kind(Protocol):
    """What each store_*.py offers."""

    ERRORS: tuple[type[Exception], ...]  # what it raises when the other side fails

    def connect(self, folder: Path, embedder: Embedder, address: str | None) -> VectorStore: ...

    def count(self, store: VectorStore, expected: int) -> int:
        """How many chunks it holds; where that takes a while to come out, wait for `expected`."""
        ...

    def empty(self, store: VectorStore) -> None: ...


def open_store(
    name: str, folder: Path, embedder: Embedder, address: str | None = None, *, repair: bool = False
) -> VectorStore:
    """The LangChain store of that name, empty or as it was left.

    Args:
        folder: of the index; a store on disk lies in it, one on a server has a collection of its own for it.
        address: of a server, e.g. http://localhost:8000; None for the one in this process, or the usual one.
        repair: begin a damaged one anew; the index's lock has to be held.

    Raises:
        DamagedStore: it can't be read, and is not to be repaired.
        UserError: no such store, its extra is not installed, or it can't be reached.
    """
    with _explained(name):
        try:
            return _kind(name).connect(folder, embedder, address)
        except DamagedStore:
            if not repair:
                raise
        from step3_rag.stores import chroma

        chroma.remove(folder)
        return chroma.connect(folder, embedder, address)


def check(name: str) -> None:
    """Look whether there is a store of that name, before any work is done.

    Raises:
        UserError: no such store, or its extra is not installed.
    """
    _kind(name)


def _kind(name: str) -> Kind:
    if name not in NAMES:
        raise UserError(f"--store {name} is not known: use {', '.join(NAMES)}")
    try:
        return cast(Kind, importlib.import_module(f"step3_rag.stores.{name}"))
    except ModuleNotFoundError as error:
        raise UserError(
            f"--store {name} needs a package that is not installed ({error.name}): "
            f'pip install -c constraints.txt ".[{"step3" if name == "chroma" else name}]"'
        ) from None


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Whatever goes wrong on the other side, in one line."""
    kind = _kind(name)
    try:
        yield
    except kind.ERRORS as error:
        raise UserError(f"the vector store {name} failed: {_said(error)}") from None


def _said(error: Exception) -> str:
    with contextlib.suppress(KeyError, TypeError, ValueError):  # Pinecone's texts begin with all headers
        return str(json.loads(getattr(error, "body", None) or "")["message"])
    return reason(error)


def nearest(
    store: VectorStore,
    name: str,
    embedder: Embedder,
    vector: np.ndarray,
    k: int,
    collections: Sequence[str] = (),
) -> dict[int, float]:
    """The k chunks nearest to a vector, of those collections or of all: their numbers and cosines.

    Raises:
        UserError: the store fails.
    """
    embedder.expect([vector])  # the store will ask for it, as the query's
    with _explained(name):
        hits = store.similarity_search_with_score("", k=k, **only(collections))
    return {int(hit.id or 0): cosine(name, float(score)) for hit, score in hits}


def cosine(name: str, score: float) -> float:
    """The cosine in a store's score: Chroma gives a distance, 1 - cosine."""
    return 1.0 - score if name == "chroma" else score


def only(collections: Sequence[str]) -> dict[str, Any]:
    """What `similarity_search_with_score` takes to search some collections only; all stores the same."""
    return {"filter": {"collection": {"$in": list(collections)}}} if collections else {}


def count(store: VectorStore, name: str) -> int:
    """How many chunks it holds, by its own word: a look whether it answers at all.

    Raises:
        UserError: the store fails.
    """
    with _explained(name):
        return _kind(name).count(store, 0)


# --- keeping up with the index ------------------------------------------------------------------------


def is_current(index: Index, store: VectorStore, name: str, address: str | None = None) -> bool:
    """Whether the store holds just the index's chunks, as far as its count can tell; quick.

    Raises:
        UserError: the store fails.
    """
    copy, wanted = _Copy(index, store, name, address), _wanted(index)
    with _explained(name):
        return copy.held() == wanted and copy.count(len(wanted)) == len(wanted)


def sync(
    index: Index,
    store: VectorStore,
    name: str,
    embedder: Embedder,
    progress: Callable[[int], None] = lambda _n: None,
    address: str | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> None:
    """Make the store hold just the index's chunks. The index's lock has to be held.

    Args:
        progress: gets the number of chunks added each time.
        address: as in `open_store`.
        say: gets a line when the copy is not as it was left, and is made anew.

    Raises:
        UserError: the store fails; what it had confirmed by then is noted.
    """
    copy, wanted = _Copy(index, store, name, address), _wanted(index)
    with _explained(name):
        held = copy.held()
        there = copy.count(len(held))
        if there < len(held):
            say(f"the vector store {name} holds {there} of {len(held)} chunks: filling it anew")
            copy.empty()
            held = set()
        copy.take_out(sorted(held - wanted))
        copy.put_in(sorted(wanted - held), embedder, progress)
        unknown = copy.count(len(wanted)) - len(wanted)
        if unknown > 0:  # put there by a sync that died before its note, and not wanted since
            say(f"the vector store {name} holds {unknown} unknown chunks: filling it anew")
            copy.empty()
            copy.put_in(sorted(wanted), embedder, progress)


@dataclass(frozen=True)
class _Copy:
    """What a store holds of an index, with the notes about it."""

    index: Index
    store: VectorStore
    name: str
    address: str | None

    @property
    def key(self) -> str:
        """Under what the notes are kept: the same index may have copies on several servers."""
        return f"{self.name} {self.address.rstrip('/')}" if self.address else self.name

    def held(self) -> set[int]:
        """The chunks that it has confirmed; FAISS, which dies with this process, is asked itself."""
        if self.name == "faiss":
            from step3_rag.stores.faiss import held

            return held(self.store)
        rows = self.index.db.execute("SELECT chunk FROM stored WHERE store = ?", (self.key,))
        return {row[0] for row in rows}

    def count(self, expected: int) -> int:
        return _kind(self.name).count(self.store, expected)

    def take_out(self, ids: Sequence[int]) -> None:
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            self.store.delete([str(each) for each in batch])
            self._note("DELETE FROM stored WHERE store = ? AND chunk = ?", batch)

    def put_in(self, ids: Sequence[int], embedder: Embedder, progress: Callable[[int], None]) -> None:
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            chunks = self.index.chunks(batch)
            embedder.expect(self.index.vectors(batch))  # the store will ask for them
            self.store.add_texts(
                [chunk.text for chunk in chunks],
                [{"document": chunk.document, "collection": chunk.collection} for chunk in chunks],
                ids=[str(each) for each in batch],
            )
            self._note("INSERT OR REPLACE INTO stored VALUES (?, ?)", batch)
            progress(len(batch))

    def empty(self) -> None:
        """Take everything out; the notes go first, so that they never promise what isn't there."""
        self.index.db.execute("DELETE FROM stored WHERE store = ?", (self.key,))
        _kind(self.name).empty(self.store)

    def _note(self, change: str, ids: Sequence[int]) -> None:
        if self.name != "faiss":
            with self.index._transaction():  # one for all: each is a wait for the disk
                self.index.db.executemany(change, [(self.key, each) for each in ids])


def _wanted(index: Index) -> set[int]:
    rows = index.db.execute("SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document WHERE complete")
    return {row[0] for row in rows}

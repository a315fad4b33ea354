"""The vector stores: Chroma, and by extras FAISS, Weaviate and Pinecone.

    >>> store = open_store("chroma", Path("rag-index"))
    >>> sync(index, store)
    >>> store.nearest(vector, k=100)
    {1742: 0.69, ...}

A store is a copy of the index's chunks and vectors, by chunk id. A chunk never changes under its id, so
`sync` compares the ids, adds the missing chunks and deletes those that the index no longer has.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from shared.errors import UserError
from step3_rag.ingest.index import Index
from step3_rag.stores.common import ChunkStore

NAMES = ("chroma", "faiss", "weaviate", "pinecone")


def open_store(name: str, folder: Path, address: str | None = None) -> ChunkStore:
    """Open the store of that name; it may be empty.

    Args:
        folder: of the index; a store on disk lies in it, one on a server has a collection for it.
        address: of a server, e.g. http://localhost:8000; None for the store in this process, or the default.

    Raises:
        UserError: no such store, its extra is not installed, or it can't be reached or read.
    """
    kind = store_class(name)
    with kind.one_line_errors():
        return kind(folder, address)


def store_class(name: str) -> type[ChunkStore]:
    """The class of the store of that name.

    Raises:
        UserError: no such store, or its extra is not installed.
    """
    if name not in NAMES:
        raise UserError(f"--store {name} is not known: use {', '.join(NAMES)}")
    try:
        kind: type[ChunkStore] = importlib.import_module(f"step3_rag.stores.{name}").Store
    except ModuleNotFoundError as error:
        raise UserError(
            f"--store {name} needs a package that is not installed ({error.name}): "
            f'pip install -c constraints.txt ".[{"step3" if name == "chroma" else name}]"'
        ) from None
    return kind


# --- keeping up with the index ------------------------------------------------------------------------


def is_current(index: Index, store: ChunkStore) -> bool:
    """Whether the store holds exactly the index's chunks, by its last `sync` and its count; fast.

    Raises:
        UserError: the store fails.
    """
    key = _key(store.name, store.address)
    noted = index.rows("SELECT generation FROM copies WHERE store = ?", (key,))
    with store.one_line_errors():
        return noted == [(index.generation,)] and store.count() == len(_chunk_ids(index))


def sync(index: Index, store: ChunkStore) -> None:
    """Make the store hold exactly the index's chunks; the caller holds the index's lock.

    After a failure or a kill, the next call continues.

    Raises:
        UserError: the store fails.
    """
    key, note = _key(store.name, store.address), "INSERT OR REPLACE INTO copies VALUES (?, ?)"
    index.db.execute(note, (key, -1))  # first, so that `forget` also knows a half-written copy
    generation, wanted = index.generation, _chunk_ids(index)
    with store.one_line_errors():
        held = store.ids()
        for batch in _batches(held - wanted, store.batch):
            store.delete(batch)
        for batch in _batches(wanted - held, store.batch):
            store.upsert(index.chunks(batch), index.vectors(batch))
    index.db.execute(note, (key, generation))


def sync_copies(index: Index) -> dict[str, str]:
    """Sync Chroma and every other store that holds a copy; the caller holds the index's lock.

    Returns the copies that could not be synced, with the reason.
    """
    behind: dict[str, str] = {}
    noted = [row[0] for row in index.rows("SELECT store FROM copies")]
    for copy in dict.fromkeys(["chroma", *noted]):
        name, _, address = copy.partition(" ")
        if name != "faiss":  # it only exists in memory
            try:
                sync(index, open_store(name, index.folder, address or None))
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
    rows = index.rows("SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document WHERE complete")
    return {row[0] for row in rows}

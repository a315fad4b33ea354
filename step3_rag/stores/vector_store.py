"""The vector stores: Chroma, and by extras FAISS, Weaviate and Pinecone.

    >>> store = open_store("chroma", Path("rag-index"))
    >>> sync(index, store)
    >>> store.nearest(vector, k=100)
    {1742: 0.69, ...}

A store holds a copy of what the index holds: the vector of every chunk under the chunk's number, which never
changes its meaning. So `sync` compares the numbers, adds what is new or was lost, and deletes what is gone.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from shared.errors import UserError
from step3_rag.ingest.index import Index
from step3_rag.stores.common import ChunkStore

NAMES = ("chroma", "faiss", "weaviate", "pinecone")
BATCH = 2000  # Chroma takes 5,461 at most


def open_store(name: str, folder: Path, address: str | None = None) -> ChunkStore:
    """The store of that name, empty or as it was left.

    Args:
        folder: of the index; a store on disk lies in it, one on a server has a collection of its own for it.
        address: of a server, e.g. http://localhost:8000; None for the one in this process, or the usual one.

    Raises:
        UserError: no such store, its extra is not installed, or it can't be reached or read.
    """
    kind = store_class(name)
    with kind.explained():
        return kind(folder, address)


def store_class(name: str) -> type[ChunkStore]:
    """The store of that name; nothing is opened.

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
    """Whether the store holds just the index's chunks, by its last `sync` and its count; quick.

    Raises:
        UserError: the store fails.
    """
    key = _key(store.name, store.address)
    noted = index.rows("SELECT generation FROM copies WHERE store = ?", (key,))
    with store.explained():
        return noted == [(index.generation,)] and store.count() == len(_chunks_of(index))


def sync(index: Index, store: ChunkStore) -> None:
    """Make the store hold just the index's chunks. The index's lock has to be held.

    After a failure or a kill, the next call goes on.

    Raises:
        UserError: the store fails.
    """
    key, note = _key(store.name, store.address), "INSERT OR REPLACE INTO copies VALUES (?, ?)"
    index.db.execute(note, (key, -1))  # first, so that `forget` finds a copy that is still half empty
    generation, wanted = index.generation, _chunks_of(index)
    with store.explained():
        held = store.ids()
        if gone := sorted(held - wanted):
            store.delete(gone)
        missing = sorted(wanted - held)
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            store.upsert(index.chunks(batch), index.vectors(batch))
    index.db.execute(note, (key, generation))


def sync_copies(index: Index, *more: tuple[str, str | None]) -> dict[str, str]:
    """Make every store that holds a copy, and `more` (name, address), hold just the index's chunks.

    The index's lock has to be held. Returns the copies that are still as they were, with the reason.
    """
    behind: dict[str, str] = {}
    noted = [row[0].partition(" ") for row in index.rows("SELECT store FROM copies")]
    for name, address in dict.fromkeys([*more, *((name, address or None) for name, _, address in noted)]):
        if name != "faiss":  # it ends with its process
            try:
                sync(index, open_store(name, index.folder, address))
            except UserError as error:
                behind[_key(name, address)] = str(error)
    return behind


def _key(name: str, address: str | None) -> str:
    """What a copy is called in the index, which may have several, on several servers."""
    return f"{name} {address.rstrip('/')}" if address else name


def _chunks_of(index: Index) -> set[int]:
    rows = index.rows("SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document WHERE complete")
    return {row[0] for row in rows}

"""The vector stores, each by LangChain's own class: Chroma here, and FAISS, Weaviate, Pinecone by extras.

    >>> store = open_store("chroma", Path("rag-index"), embedder)
    >>> store.similarity_search_with_score("When does it renew?", k=100)
    [(Document(id='1742', ...), 0.31), ...]

A store holds a copy of what the index holds: the vector of every chunk under the chunk's number. `sync`
brings it up to date, adding what is new and taking out what is gone, and notes each step in the index only
after the store has confirmed it; whatever dies in between, the next `sync` goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.vectorstores import VectorStore

from shared.errors import UserError
from step3_rag.embed import Embedder
from step3_rag.index import Index

NAMES = ("chroma", "faiss", "weaviate", "pinecone")
BATCH = 2000  # Chroma takes 5,461 at most
COLLECTION = "chunks"


def open_store(name: str, folder: Path, embedder: Embedder, address: str | None = None) -> VectorStore:
    """The LangChain store of that name, empty or as it was left.

    Args:
        folder: of the index; a store on disk lies in it.
        address: of a server, e.g. http://localhost:8000; None for the one in this process, or the service.

    Raises:
        UserError: no such store, its extra is not installed, or it can't be reached.
    """
    if name not in NAMES:
        raise UserError(f"--store {name} is not known: use {', '.join(NAMES)}")
    return _chroma(folder, embedder, address)


def cosine(name: str, score: float) -> float:
    """The cosine in a store's score: Chroma gives a distance, 1 - cosine."""
    return 1.0 - score if name == "chroma" else score


def only(name: str, collections: Sequence[str]) -> dict[str, Any]:
    """What `similarity_search_with_score` takes to search some collections only."""
    if not collections:
        return {}
    if name == "chroma":
        return {"filter": {"collection": {"$in": list(collections)}}}
    return {"filter": {"collection": {"$in": list(collections)}}}


def _chroma(folder: Path, embedder: Embedder, address: str | None) -> VectorStore:
    import chromadb
    from langchain_chroma import Chroma

    settings = chromadb.Settings(anonymized_telemetry=False)
    client: Any
    if address:
        from urllib.parse import urlsplit

        parts = urlsplit(address)
        client = chromadb.HttpClient(
            parts.hostname or address, parts.port or 8000, ssl=parts.scheme == "https", settings=settings
        )
    else:
        client = chromadb.PersistentClient(str(folder / "chroma"), settings)
    return Chroma(
        COLLECTION,
        embedder,
        client=client,
        # Wider searches than its defaults: among 18,000 chunks they missed some of the true hundred nearest.
        collection_configuration={"hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 200}},
    )


def sync(
    index: Index,
    store: VectorStore,
    name: str,
    embedder: Embedder,
    progress: Callable[[int], None] = lambda _n: None,
) -> None:
    """Make the store hold just the index's chunks; `progress` gets the number of chunks added each time."""
    db = index.db
    gone = [
        row[0]
        for row in db.execute(
            "SELECT chunk FROM stored WHERE store = ? AND chunk NOT IN (SELECT c.id FROM chunks c "
            "JOIN documents d ON d.id = c.document WHERE complete)",
            (name,),
        )
    ]
    for start in range(0, len(gone), BATCH):
        batch = gone[start : start + BATCH]
        store.delete([str(each) for each in batch])
        db.executemany("DELETE FROM stored WHERE store = ? AND chunk = ?", ((name, each) for each in batch))
    new = missing(index, name)
    for start in range(0, len(new), BATCH):
        batch = new[start : start + BATCH]
        chunks = index.chunks(batch)
        embedder.expect(index.vectors(batch))  # the store will ask for them
        store.add_texts(
            [chunk.text for chunk in chunks],
            [{"document": chunk.document, "collection": chunk.collection} for chunk in chunks],
            ids=[str(each) for each in batch],
        )
        db.executemany("INSERT OR REPLACE INTO stored VALUES (?, ?)", ((name, each) for each in batch))
        progress(len(batch))


def missing(index: Index, name: str) -> list[int]:
    """The chunks that a store does not hold yet."""
    rows = index.db.execute(
        "SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document WHERE complete "
        "AND c.id NOT IN (SELECT chunk FROM stored WHERE store = ?) ORDER BY c.id",
        (name,),
    )
    return [row[0] for row in rows]

"""The commands `ingest`, `forget` and `status`: add to an index, remove from it, show what is in it."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.config import Settings
from shared.errors import UserError
from shared.words import count
from step3_rag.ingest import update
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index
from step3_rag.ingest.sources import Report, find
from step3_rag.service import HOME, index_facts, open_index
from step3_rag.stores import vector_store


def run(
    settings: Settings,
    paths: Sequence[Path],
    folder: Path | None,
    collection: str | None,
    chunk_size: int,
    chunk_overlap: int,
    store: str,
    address: str | None,
    *,
    rebuild: bool = False,
) -> dict[str, Any]:
    """Ingest the files under the paths into the index, then sync the vector store.

    Raises:
        UserError: a path or a size is not allowed, or the index was made with other facts.
    """
    began, folder = time.perf_counter(), folder or HOME
    embedder = Embedder(settings)
    sizes = update.check_sizes(chunk_size, chunk_overlap, embedder)
    vector_store.store_class(store)
    if rebuild or not Index.exists(folder):  # so that a wrong path doesn't leave an empty index
        find(paths, {}, collection, Report())
    with update.locked(folder):
        facts = index_facts(settings, sizes)
        if rebuild:
            report = update.rebuild(folder, facts, embedder, sizes, paths, collection)
            index = Index.open(folder, facts)
        else:
            index = Index.open(folder, facts, create=True)
            report = update.ingest_paths(index, paths, collection, embedder, sizes)
        vector_store.sync(index, vector_store.open_store(store, index, address))
    return {**_facts("ingest", index), **vars(report), "seconds": round(time.perf_counter() - began, 2)}


def forget(names: Sequence[str], folder: Path | None) -> dict[str, Any]:
    """Remove documents, by name or path, from the index and from every vector store that has a copy.

    Raises:
        UserError: the index has no such document, or a copy can't be reached and still holds its text.
    """
    began, folder = time.perf_counter(), folder or HOME
    index = Index.open(folder, {})
    with update.locked(folder):
        rows = index.documents()
        report = Report()
        chosen = {row["id"]: row["name"] for row in (_find(name, rows, folder) for name in names)}
        index.remove(chosen)
        report.removed = list(chosen.values())
        report.unchanged = len(rows) - len(chosen)
        behind = vector_store.sync_copies(index)
    if behind:
        places = "; ".join(f"{where} ({why})" for where, why in behind.items())
        raise UserError(
            f"{', '.join(report.removed)} left the index, but a copy still holds the text: {places}; "
            "once it answers, a search with its --store and --address removes the text"
        )
    return {**_facts("forget", index), **vars(report), "seconds": round(time.perf_counter() - began, 2)}


def _find(name: str, rows: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The document with that name, or else with that path."""
    path = str(Path(name).resolve())
    found = [row for row in rows if row["name"] == name or row["path"] in (name, path)]
    if not found:
        raise UserError(f"no document {name!r} in {folder}: `status --names` lists them")
    return min(found, key=lambda row: row["name"] != name)


def _facts(command: str, index: Index) -> dict[str, Any]:
    rows = index.documents()
    chunks = sum(row["chunks"] for row in rows)
    return {
        "command": f"step3_rag {command}",
        "headline": f"{count(len(rows), 'document')}, {count(chunks, 'chunk')}",
        "index": str(index.folder),
        "documents": len(rows),
        "chunks": chunks,
    }


def status(settings: Settings, folder: Path | None, with_names: bool) -> dict[str, Any]:
    """What is in an index: the given one, or rag-index here, or else the sample's.

    Raises:
        UserError: there is no index in the given folder.
    """
    index = open_index(settings, folder)
    rows = index.documents()
    collections: dict[str, Counter[str]] = {}
    for row in rows:
        collections.setdefault(row["collection"], Counter()).update(documents=1, chunks=row["chunks"])
    size = sum(path.stat().st_size for path in index.folder.rglob("*") if path.is_file()) / 1e6
    return {
        **_facts("status", index),
        "collections": collections,
        "names": [row["name"] for row in rows] if with_names else [],
        "superseded": [row["name"] for row in rows if row["superseded"]],
        **{name: index.facts.get(name) for name in ("embedder", "chunk_size", "chunk_overlap")},
        "megabytes": round(size, 1),
    }

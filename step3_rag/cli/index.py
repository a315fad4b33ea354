"""`ingest`, `forget` and `status` as commands: what goes into an index, what goes out, what is in it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.config import Settings
from shared.errors import UserError
from shared.progress import spinner
from step3_rag.ingest import update
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index
from step3_rag.ingest.rebuild import rebuild as make_anew
from step3_rag.ingest.sources import Report, find
from step3_rag.service import HOME, facts_of, sample_service, warn
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
    """Bring what stands under the paths into the index, then the vector store up to date.

    Raises:
        UserError: a path or a size that is not allowed, or an index that was made in another way.
    """
    began, folder = time.perf_counter(), folder or HOME
    embedder = Embedder(settings)
    sizes = update.checked_sizes(chunk_size, chunk_overlap, embedder)
    vector_store.store_class(store)
    if not Index.exists(folder):  # a wrong path leaves no empty index behind
        find(paths, {}, collection, Report())
    with update.locked(folder, spinner):
        if rebuild:
            facts = facts_of(settings, sizes)
            report = make_anew(folder, facts, embedder, sizes, paths, collection)
            index = Index.open(folder, facts)
        else:
            index = Index.open(folder, facts_of(settings, sizes), create=True)
            report = update.bring_in(index, paths, collection, embedder, sizes)
        vector_store.sync(index, vector_store.open_store(store, folder, address))
    for name, problem in report.warnings.items():
        warn(f"{name}: {problem}; passed over")
    return {**_facts(index, folder, report, began), "command": "step3_rag ingest"}


def forget(names: Sequence[str], folder: Path | None, store: str, address: str | None) -> dict[str, Any]:
    """Take documents out of the index and of every vector store that it was copied to, by name or path.

    Raises:
        UserError: the index has no such document, or a copy that can't be reached still holds its text.
    """
    began, folder = time.perf_counter(), folder or HOME
    vector_store.store_class(store)
    index = Index.open(folder, {})
    with update.locked(folder, spinner):
        rows = index.documents()
        report = Report()
        gone = list({row["id"]: row for name in names for row in [_named(name, rows, folder)]}.values())
        index.remove([row["id"] for row in gone])
        report.removed = [row["name"] for row in gone]
        report.unchanged = len(rows) - len(gone)
        for words in folder.glob("bm25-*"):  # of an older version
            shutil.rmtree(words)
        (folder / "entity-graph.json").unlink(missing_ok=True)
        behind = vector_store.sync_copies(index, (store, address))
    if behind:
        places = "; ".join(f"{where} ({why})" for where, why in behind.items())
        raise UserError(
            f"{', '.join(report.removed)} left the index, but a copy still holds the text: {places}; "
            "once it answers, a search with its --store and --address takes the text out"
        )
    return {**_facts(index, folder, report, began), "command": "step3_rag forget"}


def _named(name: str, rows: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The document of that name or path."""
    whole = str(Path(name).resolve())
    by_name = [row for row in rows if row["name"] == name]
    found = by_name or [row for row in rows if row["path"] in (name, whole)]
    if not found:
        raise UserError(f"no document {name!r} in {folder}: `status --names` lists them")
    return found[0]


def _facts(index: Index, folder: Path, report: Report, began: float) -> dict[str, Any]:
    rows = index.documents()
    return {
        "headline": f"{len(rows)} documents, {sum(row['chunks'] for row in rows)} chunks",
        "index": str(folder),
        "documents": len(rows),
        "chunks": sum(row["chunks"] for row in rows),
        **vars(report),
        "seconds": round(time.perf_counter() - began, 2),
    }


def status(settings: Settings, folder: Path | None, with_names: bool) -> dict[str, Any]:
    """What is in the index, of ours or the sample's.

    Raises:
        UserError: there is no index in the folder that was named.
    """
    if folder is None and not Index.exists(HOME):
        index = sample_service(settings).index
    else:
        index = Index.open(folder or HOME, {})
    rows = index.documents()
    collections: dict[str, dict[str, int]] = {}
    for row in rows:
        held = collections.setdefault(row["collection"], {"documents": 0, "chunks": 0})
        held["documents"] += 1
        held["chunks"] += row["chunks"]
    chunks = sum(row["chunks"] for row in rows)
    size = sum(path.stat().st_size for path in index.folder.rglob("*") if path.is_file()) / 1e6
    made_with = index.facts
    return {
        "command": "step3_rag status",
        "headline": f"{len(rows)} documents, {chunks} chunks, {size:.1f} MB",
        "index": str(index.folder),
        "collections": collections,
        "names": [row["name"] for row in rows] if with_names else [],
        "superseded": [row["name"] for row in rows if row["superseded"]],
        "embedder": made_with.get("embedder"),
        "chunk_size": made_with.get("chunk_size"),
        "chunk_overlap": made_with.get("chunk_overlap"),
        "megabytes": round(size, 1),
    }

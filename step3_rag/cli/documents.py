"""`ingest`, `forget` and `status`: add to an index, remove from it, show what is in it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.cli import Console, plain_table
from shared.config import Settings
from shared.errors import UserError
from shared.words import count
from step3_rag.cli.printing import say
from step3_rag.ingest import sources, update
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index, index_facts
from step3_rag.stores import vector_store


@dataclass(frozen=True)
class ChangeReport:
    """What `ingest` or `forget` did to an index: names of documents."""

    command: str
    headline: str
    index: str
    documents: int
    chunks: int
    new: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: int
    failed: dict[str, str]  # with the reason
    passed_over: dict[str, str]  # with the reason
    seconds: float


@dataclass(frozen=True)
class CollectionSize:
    """How much a collection has."""

    documents: int
    chunks: int


@dataclass(frozen=True)
class StatusReport:
    """What is in an index."""

    command: str
    headline: str
    index: str
    documents: int
    chunks: int
    collections: dict[str, CollectionSize]
    names: list[str]  # of the documents, if they were asked for
    superseded: list[str]  # those of them that are
    embedder: str | None
    chunk_size: int | None  # tokens
    chunk_overlap: int | None  # tokens
    megabytes: float


# --- ingest and forget ------------------------------------------------------------------------------------


def ingest(
    settings: Settings,
    paths: Sequence[Path],
    folder: Path,
    collection: str | None,
    chunk_size: int,
    chunk_overlap: int,
    store: str,
    address: str | None,
    *,
    rebuild: bool,
) -> ChangeReport:
    """Add files to the index in `folder`, or make it anew; sizes of chunks are in tokens.

    Raises:
        UserError: there are no such files, the index was made with other facts, or the store fails.
    """
    began = time.perf_counter()
    embedder = Embedder(settings)
    update.check_sizes(chunk_size, chunk_overlap, embedder)
    facts = index_facts(settings, chunk_size, chunk_overlap)
    vector_store.store_class(store)
    if rebuild or not Index.exists(folder):  # so that a wrong path doesn't leave an empty index
        sources.find(paths, {}, collection, sources.Report())
    with update.locked(folder):
        if rebuild:
            changes = update.rebuild(folder, facts, embedder, paths, collection)
            index = Index.open(folder, facts)
        else:
            index = Index.open(folder, facts, create=True)
            changes = update.ingest_paths(index, paths, collection, embedder)
        vector_store.sync(index, vector_store.open_store(store, index, address))
    return describe_changes("ingest", index, changes, time.perf_counter() - began)


def forget(names: Sequence[str], folder: Path) -> ChangeReport:
    """Remove documents, by name or path, from the index in `folder` and from its vector stores.

    Raises:
        UserError: there is no such index or document, or a vector store can't be reached.
    """
    began = time.perf_counter()
    index = Index.open(folder, {})
    with update.locked(folder):
        rows = index.documents()
        chosen: dict[int, str] = {}
        for name in names:
            row = find_document(name, rows, folder)
            chosen[row["id"]] = row["name"]
        index.remove(chosen)
        behind = vector_store.sync_copies(index)
    changes = sources.Report(removed=list(chosen.values()), unchanged=len(rows) - len(chosen))
    if behind:
        places = "; ".join(f"{copy} ({why})" for copy, why in behind.items())
        raise UserError(
            f"{', '.join(changes.removed)} left the index, but a copy still holds the chunks: {places}; "
            "once it answers, a search with its --store and --address removes them"
        )
    return describe_changes("forget", index, changes, time.perf_counter() - began)


def find_document(name: str, rows: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The document with that name, or else with that path.

    Raises:
        UserError: there is none.
    """
    path = str(Path(name).resolve())
    matches = [row for row in rows if row["name"] == name or row["path"] in (name, path)]
    if not matches:
        raise UserError(f"no document {name!r} in {folder}: `status --names` lists them")
    return min(matches, key=lambda row: row["name"] != name)


def describe_changes(command: str, index: Index, changes: sources.Report, seconds: float) -> ChangeReport:
    """The report of what changed."""
    rows = index.documents()
    return ChangeReport(
        command=f"step3_rag {command}",
        headline=headline(rows),
        index=str(index.folder),
        documents=len(rows),
        chunks=chunks_of(rows),
        new=changes.new,
        changed=changes.changed,
        removed=changes.removed,
        unchanged=changes.unchanged,
        failed=changes.failed,
        passed_over=changes.passed_over,
        seconds=round(seconds, 2),
    )


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """`5 documents, 12 chunks`."""
    return f"{count(len(rows), 'document')}, {count(chunks_of(rows), 'chunk')}"


def chunks_of(rows: Sequence[dict[str, Any]]) -> int:
    """How many chunks some documents have."""
    return sum(row["chunks"] for row in rows)


def show_changes(report: ChangeReport, console: Console) -> None:
    """Print what was ingested, and what was not and why."""
    counts = (
        f"{len(report.new)} new, {len(report.changed)} changed, {len(report.removed)} removed, "
        f"{report.unchanged} unchanged"
    )
    say(console, f"{report.headline} in {report.index}: {counts}; {report.seconds:.1f} s")
    for name, why in report.passed_over.items():
        say(console, f"passed over: {name}: {why}", "dim")
    for name, why in report.failed.items():
        say(console, f"could not be read: {name}: {why}", "red")


# --- status -----------------------------------------------------------------------------------------------


def describe_index(index: Index, *, names: bool) -> StatusReport:
    """What is in an index; with `names`, also the names of all documents."""
    rows = index.documents()
    by_collection: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_collection.setdefault(row["collection"], []).append(row)
    collections = {}
    for name, documents in by_collection.items():
        collections[name] = CollectionSize(len(documents), chunks_of(documents))
    size = sum(path.stat().st_size for path in index.folder.rglob("*") if path.is_file())
    return StatusReport(
        command="step3_rag status",
        headline=headline(rows),
        index=str(index.folder),
        documents=len(rows),
        chunks=chunks_of(rows),
        collections=collections,
        names=[row["name"] for row in rows] if names else [],
        superseded=[row["name"] for row in rows if row["superseded"]],
        embedder=index.facts.get("embedder"),
        chunk_size=index.facts.get("chunk_size"),
        chunk_overlap=index.facts.get("chunk_overlap"),
        megabytes=round(size / 1e6, 1),
    )


def show_status(report: StatusReport, console: Console) -> None:
    """Print the collections with their documents and chunks, and the index's size on disk."""
    rows = []
    for name, size in report.collections.items():
        rows.append((name, str(size.documents), str(size.chunks)))
    columns = ("documents", "chunks")
    console.print(plain_table("collection", *columns, rows=rows, right=columns))
    for name in report.names:
        say(console, f"  {name}{' (superseded)' if name in report.superseded else ''}")
    sizes = f"chunks of {report.chunk_size} tokens overlapping by {report.chunk_overlap}"
    on_disk = f"{report.megabytes:.1f} MB on disk"
    say(console, f"\n{report.index}: {report.embedder}, {sizes}; {on_disk}", "dim")

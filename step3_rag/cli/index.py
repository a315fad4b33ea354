"""The commands `ingest`, `forget` and `status`: add to an index, remove from it, show what is in it."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.cli import Json, Smoke, emit, new_app, settings_from_flags
from shared.errors import UserError
from shared.launch import ExitCode
from shared.words import count
from step3_rag.cli import flags

if TYPE_CHECKING:
    from step3_rag.ingest.index import Index

app = new_app("The documents of an index.")


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", show_default=False)],
    collection: Annotated[
        str | None, typer.Option(help="Name of the collection; default: the first folder below a path.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index anew, from these files only.")
    ] = False,
    chunk_size: Annotated[int, typer.Option(help="Largest number of tokens in a chunk.")] = 128,
    chunk_overlap: Annotated[
        int, typer.Option("--chunk-overlap", help="Tokens that neighbouring chunks share.")
    ] = 32,
    index: flags.OwnIndex = None,
    store: flags.Store = "chroma",
    address: flags.Address = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Add files to the index: Markdown, text, HTML, PDF, DOCX, CSV. Unchanged files are skipped."""
    from step3_rag import opening
    from step3_rag.cli import render
    from step3_rag.ingest import sources, update
    from step3_rag.ingest.index import Index
    from step3_rag.stores import vector_store

    began, folder = time.perf_counter(), index or opening.HOME
    settings = settings_from_flags(smoke)
    embedder = opening.Embedder(settings)
    update.check_sizes(chunk_size, chunk_overlap, embedder)
    facts = opening.index_facts(settings, chunk_size, chunk_overlap)
    vector_store.store_class(store)
    if rebuild or not Index.exists(folder):  # so that a wrong path doesn't leave an empty index
        sources.find(paths, {}, collection, sources.Report())
    with update.locked(folder):
        if rebuild:
            report = update.rebuild(folder, facts, embedder, paths, collection)
            opened = Index.open(folder, facts)
        else:
            opened = Index.open(folder, facts, create=True)
            report = update.ingest_paths(opened, paths, collection, embedder)
        vector_store.sync(opened, vector_store.open_store(store, opened, address))
    seconds = round(time.perf_counter() - began, 2)
    emit(_facts("ingest", opened) | vars(report) | {"seconds": seconds}, render.show_ingest, as_json=as_json)
    if report.failed:
        sys.exit(ExitCode.FAILED)


@app.command()
def forget(
    names: Annotated[list[str], typer.Argument(help="Documents, by name or path.", show_default=False)],
    index: flags.OwnIndex = None,
    as_json: Json = False,
) -> None:
    """Remove documents from the index and from all its vector stores; the files themselves stay."""
    from step3_rag import opening
    from step3_rag.cli import render
    from step3_rag.ingest import sources, update
    from step3_rag.ingest.index import Index
    from step3_rag.stores import vector_store

    began, folder = time.perf_counter(), index or opening.HOME
    opened = Index.open(folder, {})
    with update.locked(folder):
        rows = opened.documents()
        chosen = {row["id"]: row["name"] for row in (_find(name, rows, folder) for name in names)}
        opened.remove(chosen)
        report = sources.Report(removed=list(chosen.values()), unchanged=len(rows) - len(chosen))
        behind = vector_store.sync_copies(opened)
    if behind:
        places = "; ".join(f"{where} ({why})" for where, why in behind.items())
        raise UserError(
            f"{', '.join(report.removed)} left the index, but a copy still holds the chunks: {places}; "
            "once it answers, a search with its --store and --address removes them"
        )
    seconds = round(time.perf_counter() - began, 2)
    emit(_facts("forget", opened) | vars(report) | {"seconds": seconds}, render.show_ingest, as_json=as_json)


def _find(name: str, rows: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The document with that name, or else with that path."""
    path = str(Path(name).resolve())
    found = [row for row in rows if row["name"] == name or row["path"] in (name, path)]
    if not found:
        raise UserError(f"no document {name!r} in {folder}: `status --names` lists them")
    return min(found, key=lambda row: row["name"] != name)


@app.command()
def status(
    names: Annotated[bool, typer.Option("--names", help="Also list the documents.")] = False,
    index: flags.IndexFolder = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show what is in the index and how much disk space it takes."""
    from step3_rag import opening
    from step3_rag.cli import render

    opened = opening.open_index(settings_from_flags(smoke), index)
    rows = opened.documents()
    collections: dict[str, Counter[str]] = {}
    for row in rows:
        collections.setdefault(row["collection"], Counter()).update(documents=1, chunks=row["chunks"])
    size = sum(path.stat().st_size for path in opened.folder.rglob("*") if path.is_file()) / 1e6
    facts = {
        **_facts("status", opened),
        "collections": collections,
        "names": [row["name"] for row in rows] if names else [],
        "superseded": [row["name"] for row in rows if row["superseded"]],
        **{name: opened.facts.get(name) for name in ("embedder", "chunk_size", "chunk_overlap")},
        "megabytes": round(size, 1),
    }
    emit(facts, render.show_status, as_json=as_json)


def _facts(command: str, index: "Index") -> dict[str, Any]:
    rows = index.documents()
    chunks = sum(row["chunks"] for row in rows)
    return {
        "command": f"step3_rag {command}",
        "headline": f"{count(len(rows), 'document')}, {count(chunks, 'chunk')}",
        "index": str(index.folder),
        "documents": len(rows),
        "chunks": chunks,
    }

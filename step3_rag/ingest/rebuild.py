"""An index made anew, beside the old one, which goes only when the new one is whole.

    $ python -m step3_rag ingest documents/ --rebuild

For another embedder or other chunk sizes, or when the old index is damaged. It takes in what stands under the
paths, and the documents of other places that the old index held: each file again, or, where that can't be
read any more, the text that the old index has of it. What was deleted below the paths does not come back.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import UserError
from step3_rag.ingest import load, update
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index, joined
from step3_rag.ingest.sources import File, Report


@dataclass(frozen=True)
class Kept(File):
    """A file that can't be read any more, by what the old index has of it."""

    old: Index
    row: dict[str, Any]

    def size(self) -> int:
        return int(self.row["size"])

    def digest(self) -> str:
        return str(self.row["sha256"])

    def pieces(self) -> Iterator[load.Piece]:
        text = joined(self.old.neighbours(self.name, 0, self.row["chunks"]))
        yield load.Piece(text, version=self.row["version"])

    def title(self, text: str) -> str:  # noqa: ARG002  (the old index knows it)
        return str(self.row["title"])


def rebuild(
    folder: Path,
    facts: dict[str, Any],
    embedder: Embedder,
    sizes: update.Sizes,
    paths: Sequence[Path],
    bring_in: Callable[[Index], Report],
) -> Report:
    """Make the index in a folder anew; the lock has to be held.

    Args:
        facts: what the new index is made with.
        paths: what lay below them and is gone does not come back.
        bring_in: ingests what stands under the paths.
    """
    draft = folder / "rebuild"
    shutil.rmtree(draft, ignore_errors=True)  # of an attempt that was killed
    new = Index.open(draft, facts, create=True)
    old: Index | None = None
    with contextlib.suppress(UserError):  # there is none, or it can't be read
        old = Index.open(folder, Index.facts_of(folder))
        new.succeed(old)
    report = bring_in(new)
    if old:
        try:
            there = {row["path"] for row in new.documents()}
            gone = update.gone_from(old, paths)
            rest = [row for row in old.documents() if row["path"] not in there and row not in gone]
            files = [File(Path(row["path"]), row["name"], row["collection"]) for row in rest]
            again = update.ingest(new, files, embedder, sizes)
            kept = [
                Kept(file.path, file.name, file.collection, old, row)
                for file, row in zip(files, rest, strict=True)
                if file.name in again.failed
            ]
            update.ingest(new, kept, embedder, sizes, report)
            report.removed += [row["name"] for row in gone]
        except UserError as error:  # damaged further in: what was read until then is kept
            report.failed[str(folder)] = f"not all of the old index could be read: {error}"
        old.close()
    new.close()
    _swap(draft, folder)
    return report


def _swap(draft: Path, folder: Path) -> None:
    """One rename puts the new index in place; a kill before or after it leaves one that works."""
    file = folder / "index.sqlite"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for each in ("index.sqlite-wal", "index.sqlite-shm"):  # SQLite would take them for the new one's
        (folder / each).unlink(missing_ok=True)
    (draft / "index.sqlite").replace(file)
    clear_derived(folder, "chroma", "rebuild")


def clear_derived(folder: Path, *more: str) -> None:
    """Delete what searches made of the index in a folder: the keyword index, the graph, and `more`."""
    for each in (path for name in ("bm25-*", "*graph.json", *more) for path in folder.glob(name)):
        shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink(missing_ok=True)

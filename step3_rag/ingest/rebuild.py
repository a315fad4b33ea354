"""An index made again in one transaction: searches see the old one until the new one is whole.

    $ python -m step3_rag ingest documents/ --rebuild

For another embedder or other chunk sizes, or when the old index is damaged. It takes in what stands under the
paths, and the documents of other places that the old index held: each file again, or, where it is gone, the
text that the old index has of it. What was deleted below the paths does not come back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
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
    """A document whose file is gone, by what the old index has of it."""

    row: dict[str, Any]
    text: str

    def size(self) -> int:
        return int(self.row["size"])

    def digest(self) -> str:
        return str(self.row["sha256"])

    def pieces(self) -> Iterator[load.Piece]:
        yield load.Piece(self.text, superseded=self.row["superseded"])

    def title(self, text: str) -> str:  # noqa: ARG002  (the old index knows it)
        return str(self.row["title"])


def rebuild(
    folder: Path,
    facts: dict[str, Any],
    embedder: Embedder,
    sizes: update.Sizes,
    paths: Sequence[Path],
    collection: str | None,
) -> Report:
    """Make the index in a folder anew; the lock has to be held.

    Args:
        facts: what the new index is made with.
        paths: what stands below them is brought in; what lay there and is gone does not come back.

    Raises:
        UserError: nothing stands there; the index is as it was.
    """
    try:
        index = Index.open(folder, {})
        gone = update.gone_from(index, paths)
        old = [_source(index, row) for row in index.documents() if row not in gone]
    except UserError:  # there is none, or it can't be read
        for file in folder.glob("index.sqlite*"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        index, gone, old = Index.open(folder, facts, create=True), [], []
    with contextlib.closing(index), index.transaction():
        index.begin_anew(facts)
        report = update.bring_in(index, paths, collection, embedder, sizes)
        there = {row["path"] for row in index.documents()}
        update.ingest(index, [each for each in old if each.key not in there], embedder, sizes, report)
    report.removed += [row["name"] for row in gone]
    clear_derived(folder, "chroma")
    return report


def _source(index: Index, row: dict[str, Any]) -> File:
    about = Path(row["path"]), row["name"], row["collection"]
    if os.access(row["path"], os.R_OK):
        return File(*about)
    return Kept(*about, row, joined(index.neighbours(row["name"], 0, row["chunks"])))


def clear_derived(folder: Path, *more: str) -> None:
    """Delete what searches made of the index in a folder: the keyword index, the graph, and `more`."""
    for each in (path for name in ("bm25-*", "*graph.json", *more) for path in folder.glob(name)):
        shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink(missing_ok=True)

"""An index made again in one transaction: searches see the old one until the new one is whole.

    $ python -m step3_rag ingest documents/ --rebuild

For another embedder or other chunk sizes, or when the old index is damaged. It takes in what stands under the
paths, and the files of other places that the old index held. What was deleted below the paths does not come
back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.errors import UserError
from step3_rag.ingest import update
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index
from step3_rag.ingest.sources import File, Report


def rebuild(
    folder: Path,
    facts: dict[str, Any],
    embedder: Embedder,
    sizes: update.Sizes,
    paths: Sequence[Path],
    collection: str | None,
) -> Report:
    """Make the index in a folder anew, with these facts; the lock has to be held.

    Raises:
        UserError: nothing stands under the paths, or the file of a document in another place is gone; the
            index is as it was.
    """
    index = _opened(folder, facts)
    with contextlib.closing(index), index.transaction():
        gone = update.gone_from(index, paths)
        others = [row for row in index.documents() if row not in gone]
        for row in others:
            if not os.access(row["path"], os.R_OK):
                raise UserError(f"{row['name']} has no file to read it from again: `forget` it, then rebuild")
        index.begin_anew(facts)
        report = update.bring_in(index, paths, collection, embedder, sizes)
        there = {row["path"] for row in index.documents()}
        files = [File(Path(row["path"]), row["name"], row["collection"]) for row in others]
        update.ingest(index, [each for each in files if each.key not in there], embedder, sizes, report)
    report.removed += [row["name"] for row in gone]
    shutil.rmtree(folder / "chroma", ignore_errors=True)
    return report


def _opened(folder: Path, facts: dict[str, Any]) -> Index:
    """The index in a folder; an empty one where there is none, or it can't be read."""
    with contextlib.suppress(UserError):
        index = Index.open(folder, {})
        if index.rows("PRAGMA quick_check(1)") == [("ok",)]:
            return index
        index.close()
    for file in folder.glob("index.sqlite*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    return Index.open(folder, facts, create=True)

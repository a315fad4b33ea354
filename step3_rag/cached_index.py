"""Indexes in the cache, made when they are first needed: those of the sample and of datasets.

>>> index = corpus_index(embedder, "sample", files_in(SAMPLE / "documents", None, Report()), facts)
>>> index.folder.name
'sample-all-minilm-l6-v2-128-32-0f3c5a7e9b1d'
"""

import contextlib
import hashlib
import os
import re
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from filelock import Timeout

from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from step3_rag.ingest import update
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index, RebuildNeeded, index_facts
from step3_rag.ingest.sources import DocumentSource

DAYS_KEPT = 2  # of an index that another version of the code made


@cache
def code_version() -> str:
    """A hash of the source files that make chunks of documents."""
    digest = hashlib.sha256()
    for path in sorted(Path(update.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def corpus_home(settings: Settings, corpus: str, facts: dict[str, Any]) -> Path:
    """The folder of a corpus's index in the cache, such as `sample-all-minilm-l6-v2-128-32-0f3c5a7e9b1d`.

    Its name ends with the version of the code, so that two versions don't remake each other's index. A number
    format that was set stands before it: in another format, the vectors differ by up to .004.
    """
    parts = [corpus, *map(str, facts.values())]
    if settings.dtype != "auto":
        parts.append(settings.dtype)
    name = "-".join([*parts, code_version()])
    return settings.cache_dir / "rag" / name.replace("/", "--")


def sample_home(settings: Settings) -> Path:
    """The folder of the sample corpus's index."""
    return corpus_home(settings, "sample", index_facts(settings))


def corpus_index(
    embedder: Embedder, corpus: str, sources: Sequence[DocumentSource], facts: dict[str, Any]
) -> Index:
    """The index of a corpus in the cache, updated or made as necessary."""
    folder = corpus_home(embedder.settings, corpus, facts)
    with update.locked(folder):
        os.utime(folder)  # when it was last used
        try:
            index = Index.open(folder, facts, create=True)
        except RebuildNeeded:  # nothing is lost: the sources are elsewhere
            print(f"{folder} is damaged: it is made again", file=sys.stderr)
            update.clear(folder)
            index = Index.open(folder, facts, create=True)
        known = {row["path"]: row["id"] for row in index.documents()}
        if known:  # it only needs a check
            update.ingest(index, sources, embedder, progress=lambda _done, _all: None)
        else:
            with count_bar("reading documents", len(sources)) as progress:
                update.ingest(index, sources, embedder, progress=progress)
        index.remove([known[path] for path in known.keys() - {source.key for source in sources}])
    remove_older_versions(folder)
    return index


def remove_older_versions(folder: Path) -> None:
    """Delete the indexes that other versions of the code made of the same corpus, if nobody uses them.

    A reader holds no lock, so only what was opened by no command for DAYS_KEPT is taken for unused.
    """
    corpus = folder.name.rpartition("-")[0]
    version = re.compile(re.escape(corpus) + r"(-[0-9a-f]{12})?")  # older code named no version
    oldest = time.time() - DAYS_KEPT * 86_400
    for other in folder.parent.iterdir():
        if other == folder or not version.fullmatch(other.name) or other.stat().st_mtime > oldest:
            continue
        with contextlib.suppress(Timeout, OSError, UserError), update.locked(other, wait=False):
            update.clear(other)
        with contextlib.suppress(OSError):  # not empty: somebody else's files
            (other / ".lock").unlink(missing_ok=True)
            other.rmdir()

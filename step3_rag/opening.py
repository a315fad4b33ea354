"""Open what a command needs: index, vector store, retriever; the sample corpus if there is no index yet.

>>> retriever = open_retriever(load_settings(), Path("rag-index"))
>>> retriever.search("When does it renew?").best[0].source
'contracts/supply-brightwell.md, Renewal'
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

from shared.catalog import default
from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.reader import ADAPTER
from step3_rag import SAMPLE
from step3_rag.ingest import update
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index, RebuildNeeded
from step3_rag.ingest.sources import DocumentSource, Report, files_in
from step3_rag.retrieve.reader import CosineReader, PassageReader, Reader
from step3_rag.retrieve.search import Retriever
from step3_rag.stores import vector_store

HOME = Path("rag-index")
DAYS_KEPT = 2  # of an index that another version of the code made
OF_SAMPLE = Path("sample")  # `--index sample`: the sample corpus, also where there is a rag-index


def open_retriever(
    settings: Settings, folder: Path | None, store: str = "chroma", address: str | None = None
) -> Retriever:
    """A retriever on the index in a folder; without a folder, on rag-index here or else the sample corpus.

    Raises:
        UserError: there is no index, it is damaged, or it was made with another embedder; or the store fails.
    """
    index = open_index(settings, folder, embedder=settings.embedder)
    return retriever_on(index, Embedder(settings), store, address)


def open_index(settings: Settings, folder: Path | None, **facts: Any) -> Index:
    """The index in a folder; without a folder, rag-index here or else that of the sample corpus (OF_SAMPLE).

    Raises:
        UserError: there is no index, it is damaged, or it was made with other facts.
    """
    if folder in (None, OF_SAMPLE) and not Index.exists(folder or HOME):
        files = files_in(SAMPLE / "documents", None, Report())
        return corpus_index(Embedder(settings), "sample", files, index_facts(settings))
    return Index.open(folder or HOME, facts)


def retriever_on(
    index: Index, embedder: Embedder, store: str = "chroma", address: str | None = None
) -> Retriever:
    """A retriever on an index; its vector store is opened, and synced if it is behind the index.

    If another process is writing to the index, the store is used as it is: until the writer is done, new
    documents are found by keywords only.
    """
    opened = vector_store.open_store(store, index, address)
    if not vector_store.is_current(index, opened):
        lock = contextlib.nullcontext() if opened.in_memory else update.locked(index.folder, wait=False)
        try:
            with lock:
                vector_store.sync(index, opened)
        except Timeout:
            problem = "not all documents can be found by meaning yet"
            print(f"an ingest is running in {index.folder}: {problem}", file=sys.stderr)
    return Retriever(index, opened, embedder, load_reader(embedder))


def load_reader(embedder: Embedder) -> PassageReader:
    """The trained reader; in a smoke run, or if `reader_adapter` is none, cosines of the embedder."""
    settings = embedder.settings
    if settings.embedder == default("smoke").id or settings.reader_adapter == Path("none"):
        return CosineReader(embedder)
    return Reader.load(settings, settings.reader_adapter or ADAPTER)


def index_facts(settings: Settings, size: int = 128, overlap: int = 32) -> dict[str, Any]:
    """The facts that an index is made with: the embedder, and the sizes of chunks in its tokens."""
    return {"embedder": settings.embedder, "chunk_size": size, "chunk_overlap": overlap}


@cache
def code_version() -> str:
    """A hash of the source files that make chunks of documents."""
    digest = hashlib.sha256()
    for path in sorted(Path(update.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def corpus_home(settings: Settings, corpus: str, facts: dict[str, Any]) -> Path:
    """The folder of a corpus's index in the cache, such as `sample-all-minilm-l6-v2-128-32-0f3c5a7e9b1d`.

    Its name ends with the version of the code, so that two versions don't remake each other's index.
    """
    name = "-".join([corpus, *map(str, facts.values()), code_version()])
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
        quiet = contextlib.nullcontext(lambda _done, _all: None)  # an existing index only needs a check
        with quiet if known else count_bar("reading documents", len(sources)) as progress:
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

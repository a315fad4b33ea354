"""Opens what a command needs: index, store, retriever; the sample corpus where there is no index yet.

>>> service = open_service(load_settings(), Path("rag-index"))
>>> service.retriever.search("When does it renew?").best[0].chunk.source
'contracts/supply-brightwell.md, Renewal'
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from langchain_core.vectorstores import VectorStore

from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar, spinner
from step3_rag import ingest, stores
from step3_rag.dataset import SAMPLE, Dataset
from step3_rag.embed import Embedder
from step3_rag.index import Index
from step3_rag.search import Retriever
from step3_rag.sources import Report, Source, files_in

HOME = Path("rag-index")
SIZES = ingest.Sizes()


@dataclass
class Service:
    """An open index with all that searches it."""

    settings: Settings
    index: Index
    embedder: Embedder
    store_name: str
    address: str | None = None

    @cached_property
    def retriever(self) -> Retriever:
        """Opens the vector store, and brings it up to date where it lags behind the index."""
        store = stores.open_store(self.store_name, self.index.folder, self.embedder, self.address)
        if not stores.is_current(self.index, store, self.store_name, self.address):
            with ingest.locked(self.index.folder, spinner):
                self.sync(store)
        return Retriever(self.index, store, self.store_name, self.embedder)

    def sync(self, store: VectorStore) -> None:
        """Bring the vector store up to date; the index's lock has to be held."""
        stores.sync(self.index, store, self.store_name, self.embedder, address=self.address, say=warn)

    @property
    def is_sample(self) -> bool:
        return self.index.folder == sample_home(self.settings)


def warn(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr)


def facts_of(settings: Settings, sizes: ingest.Sizes) -> dict[str, Any]:
    """What an index is made with."""
    return {"embedder": settings.embedder, "chunk_size": sizes.chunk, "chunk_overlap": sizes.overlap}


def open_service(
    settings: Settings, folder: Path | None, store: str = "chroma", address: str | None = None
) -> Service:
    """The index in a folder; the sample's where no folder is named and none is here.

    Raises:
        UserError: no index there, a damaged one, or one that was made with another embedder.
    """
    if folder is None and not Index.exists(HOME):
        return sample_service(settings, store, address)
    folder = folder or HOME
    known = Index.facts_of(folder)
    sizes = ingest.Sizes(known.get("chunk_size", 128), known.get("chunk_overlap", 32))
    index = Index.open(folder, facts_of(settings, sizes))
    return Service(settings, index, Embedder(settings), store, address)


def sample_home(settings: Settings) -> Path:
    """Where the index of the sample corpus is kept."""
    return settings.cache_dir / "rag" / f"sample-{settings.embedder.replace('/', '--')}"


def sample_service(settings: Settings, store: str = "chroma", address: str | None = None) -> Service:
    """The sample corpus, ingested when needed."""
    files = files_in(SAMPLE / "documents", None, Report())
    return corpus_service(settings, sample_home(settings), files, store=store, address=address)


def corpus_service(
    settings: Settings,
    folder: Path,
    sources: Sequence[Source],
    sizes: ingest.Sizes = SIZES,
    store: str = "chroma",
    address: str | None = None,
) -> Service:
    """An index of our own making in the cache, brought up to date first."""
    embedder = Embedder(settings)
    with ingest.locked(folder, spinner):
        try:
            index = Index.open(folder, facts_of(settings, sizes), create=True)
        except UserError as error:  # damaged, or of another format: it is made of what lies elsewhere
            warn(f"{error}; it is made anew now")
            _clear(folder)
            index = Index.open(folder, facts_of(settings, sizes), create=True)
        known = {row["path"] for row in index.documents()}
        with _bar(f"reading {len(sources)} documents", len(sources), bool(known)) as progress:
            ingest.ingest(index, sources, embedder, sizes, progress=progress)
        gone = known - {source.key for source in sources}
        if gone:
            index.remove([row["id"] for row in index.documents() if row["path"] in gone])
    return Service(settings, index, embedder, store, address)


def _clear(folder: Path) -> None:
    """Everything of an index but its lock."""
    for each in folder.iterdir():
        if not each.name.startswith(".lock"):
            shutil.rmtree(each) if each.is_dir() else each.unlink()


@contextlib.contextmanager
def _bar(text: str, total: int, known: bool) -> Iterator[Any]:
    """A bar where there is much to do; nothing where an index only has to be looked over."""
    if known:
        yield lambda _done, _all: None
        return
    with count_bar(text, total) as progress:
        yield progress


def dataset_service(
    settings: Settings, data: Dataset, sizes: ingest.Sizes = SIZES, store: str = "chroma"
) -> Service:
    """The index of an evaluation dataset, made when needed and kept in the cache."""
    home = dataset_home(settings, data.name, sizes)
    return corpus_service(settings, home, data.sources, sizes, store)


def dataset_home(settings: Settings, name: str, sizes: ingest.Sizes) -> Path:
    """Where that index is."""
    if name.startswith("sample,") and sizes == SIZES:
        return sample_home(settings)
    key = hashlib.sha256(f"{name} {settings.embedder} {sizes}".encode()).hexdigest()[:8]
    return settings.cache_dir / "rag" / f"{name.split(':')[-1].split(',')[0]}-{key}"

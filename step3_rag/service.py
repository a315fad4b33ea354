"""Opens what a command needs: index, store, retriever; the sample corpus where there is no index yet.

>>> service = open_service(load_settings(), Path("rag-index"))
>>> service.retriever.search("When does it renew?").best[0].source
'contracts/supply-brightwell.md, Renewal'
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from shared.catalog import default
from shared.config import Settings
from shared.embedded.judge import JUDGE, Judge
from shared.errors import UserError
from shared.progress import count_bar, spinner
from step3_rag import SAMPLE
from step3_rag.ingest import update
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index
from step3_rag.ingest.sources import Report, Source, files_in
from step3_rag.retrieve.search import Evaluator, Retriever
from step3_rag.stores import vector_store

HOME = Path("rag-index")
SIZES = update.Sizes()


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
        """Opens the vector store, and brings it up to date where it lags behind the index.

        While somebody else writes to the index, the store is taken as it is: what is new there is found by
        its words only, until the writer is done.
        """
        folder = self.index.folder
        store = vector_store.open_store(self.store_name, folder, self.address)
        if not vector_store.is_current(self.index, store):
            with update.locked(folder, wait=None) as held:
                if held or self.store_name == "faiss":  # which is in this process only
                    vector_store.sync(self.index, store)
                else:
                    warn(f"an ingest is at work in {folder}: not all of it can be found by meaning yet")
        return Retriever(self.index, store, self.embedder, evaluator_of(self.settings))

    @property
    def is_sample(self) -> bool:
        return self.index.folder == sample_home(self.settings)


def evaluator_of(settings: Settings) -> Evaluator | None:
    """The retrieval evaluator, loaded when first asked; None on a smoke run and with `judge_adapter` none."""
    if settings.embedder == default("smoke").id or settings.judge_adapter == Path("none"):
        return None

    loaded, loading = cache(lambda: Judge.load(settings, settings.judge_adapter or JUDGE)), threading.Lock()

    def evaluate(question: str, passages: Sequence[str]) -> list[float]:
        with loading:  # by one thread; the others wait for it
            judge = loaded()
        return judge.probabilities(question, passages)

    return evaluate


def warn(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr)


def facts_of(settings: Settings, sizes: update.Sizes) -> dict[str, Any]:
    """What an index is made with."""
    return {"embedder": settings.embedder, "chunk_size": sizes.chunk, "chunk_overlap": sizes.overlap}


def code_version() -> str:
    """A hash of the code that makes chunks of documents, white space and comments included."""
    digest = hashlib.sha256()
    for path in sorted(Path(update.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def open_service(
    settings: Settings, folder: Path | None, store: str = "chroma", address: str | None = None
) -> Service:
    """The index in a folder; the sample's where no folder is named and none is here.

    Raises:
        UserError: no index there, a damaged one, or one that was made with another embedder.
    """
    if folder is None and not Index.exists(HOME):
        return sample_service(settings, store, address)
    index = Index.open(folder or HOME, {"embedder": settings.embedder})
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
    sizes: update.Sizes = SIZES,
    store: str = "chroma",
    address: str | None = None,
) -> Service:
    """An index of our own making in the cache, brought up to date first."""
    embedder = Embedder(settings)
    facts = {**facts_of(settings, sizes), "code": code_version()}
    with update.locked(folder, spinner):
        try:
            index = Index.open(folder, facts, create=True)
        except UserError:  # it is made of what lies elsewhere
            warn(f"{folder} is damaged, or made by code that has changed since: it is made again")
            for each in folder.iterdir():
                if not each.name.startswith(".lock"):
                    shutil.rmtree(each) if each.is_dir() else each.unlink()
            index = Index.open(folder, facts, create=True)
        there = {row["path"]: row["id"] for row in index.documents()}
        quiet = contextlib.nullcontext(lambda _done, _all: None)  # an index only has to be looked over
        with quiet if there else count_bar(f"reading {len(sources)} documents", len(sources)) as progress:
            update.ingest(index, sources, embedder, sizes, progress=progress)
        index.remove([there[path] for path in there.keys() - {source.key for source in sources}])
    return Service(settings, index, embedder, store, address)

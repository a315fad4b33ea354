"""Open an index, its vector store, and a retriever on them; the sample corpus if there is no index yet.

>>> retriever = open_retriever(load_settings(), Path("rag-index"))
>>> retriever.search("When does it renew?").best[0].source
'contracts/supply-brightwell.md, Renewal'
"""

import contextlib
import sys
from pathlib import Path
from typing import Any

from filelock import Timeout

from shared.catalog import default
from shared.config import Settings
from shared.reader import ADAPTER
from step3_rag import SAMPLE
from step3_rag.cached_index import corpus_index
from step3_rag.ingest import update
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index, index_facts
from step3_rag.ingest.sources import Report, files_in
from step3_rag.retrieve.reader import CosineReader, PassageReader, Reader
from step3_rag.retrieve.search import Retriever
from step3_rag.stores import vector_store

HOME = Path("rag-index")
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

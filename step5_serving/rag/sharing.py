"""One index for many threads, while documents are added and deleted.

    retriever = SharedRetriever(open_retriever(settings, folder))
    retriever.search("When does it renew?")      # in any number of threads

How step 3's parts are shared:

    Index       a SQLite connection. Two threads that run the same statement on one may get each other's rows,
                because Python caches prepared statements by their text. So each thread has its own.
    Snapshot    built lazily from one connection: here it is built completely under a lock, then only read.
    Embedder    is thread-safe, like Chroma's client.

A search knows the documents of one moment, its snapshot. If a document is replaced or deleted before its
passages are read, the search does without them: it never has half of a document, or parts of two versions.
The vectors of new documents follow a moment later; until then they are found by keywords only.
"""

import threading
from pathlib import Path
from typing import Any

from step3_rag.ingest.index import Index
from step3_rag.retrieve.search import Retriever
from step3_rag.retrieve.snapshot import Snapshot


class ThreadLocalIndex(Index):
    """An index with a connection for each thread, which is closed when the thread ends."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._own = folder, threading.local()

    @property
    def db(self) -> Any:  # type: ignore[override]
        """The calling thread's connection, opened when it first asks."""
        if not hasattr(self._own, "db"):
            self._own.db = Index.open(self.folder, {}).db
        return self._own.db


class SharedRetriever(Retriever):
    """A retriever for many threads."""

    def __init__(self, own: Retriever) -> None:
        """The same as a retriever of one thread, whose own connection is closed."""
        own.index.close()
        super().__init__(ThreadLocalIndex(own.index.folder), own.store, own.embedder, own.reader)
        self.collections: frozenset[str] = frozenset()
        self._complete: Snapshot | None = None
        self._making = threading.Lock()

    @property
    def snapshot(self) -> Snapshot:
        """The chunks of the current index, the same for all threads."""
        with self._making:
            found = super().snapshot
            if found is not self._complete:
                # Compute its lazy attributes now, in one thread.
                _ = found.bm25, found.token_frequency, found.vocabulary
                self.collections, self._complete = frozenset(found.collections.tolist()), found
            return found

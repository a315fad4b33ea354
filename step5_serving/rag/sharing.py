"""One index for many threads, and changes that nobody sees half of.

    retriever = SharedRetriever.of(service)
    with gate.reading(): retriever.search(...)        # any number of threads
    with gate.writing(): index.finish(...)            # alone

What of step 3 may be used by several threads at once, and what is done about the rest:

    Index       a SQLite connection: two threads that run the same statement on one may get each other's rows,
                since Python keeps prepared statements by their text. Each thread has a connection of its own.
    Snapshot    made lazily, from one connection: made whole under a lock here, then only read, and shared.
    Embedder    safe, and so is Chroma's client.

A document's new version becomes visible in SQLite in one transaction, but its vectors are in another store.
So whoever changes the index shuts the gate for the moment in which both change: a question sees the old
index or the new one. The time-consuming part, reading and embedding, happens before that with the gate open.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared import hardware
from step3_rag.ingest.embed import Embedder, Encoded
from step3_rag.ingest.index import Index
from step3_rag.retrieve.search import Evaluator, Options, Retriever, SearchResult
from step3_rag.retrieve.snapshot import Snapshot
from step3_rag.service import Service

DEFAULTS = Options()


class RWLock:
    """Many readers or one writer; a writer who waits goes before readers who come later."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers, self._writing, self._waiting = 0, False, 0

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._writing and not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._writing and not self._readers)
            self._waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()


class ThreadsIndex(Index):
    """An index with a connection for each thread that uses it; it is closed when the thread ends."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._own = folder, threading.local()

    @property
    def db(self) -> Any:  # type: ignore[override]
        """The calling thread's connection, opened when it first asks."""
        if not hasattr(self._own, "db"):
            self._own.db = Index.open(self.folder, {}).db
        return self._own.db


class SharedRetriever(Retriever):
    """A retriever for many threads. As many search at once as there are cores: more would only take turns."""

    def __init__(self, index: Index, store: Any, embedder: Embedder, evaluator: Evaluator | None) -> None:
        super().__init__(index, store, embedder, evaluator)
        self.collections: frozenset[str] = frozenset()
        self._making = threading.Lock()
        self._searching = threading.BoundedSemaphore(max(1, hardware.cores()))

    @classmethod
    def of(cls, service: Service) -> SharedRetriever:
        """One on the opened index of a service; what that one has open is closed.

        Raises:
            UserError: the vector store can't be reached.
        """
        own = service.retriever  # brings the store up to date
        service.index.close()
        return cls(ThreadsIndex(service.index.folder), own.store, service.embedder, own.evaluator)

    @property
    def snapshot(self) -> Snapshot:
        """The chunks as they are: whole, and the same for all threads."""
        known = self._snapshot
        if known is not None and known.generation == self.index.generation:
            return known
        with self._making:
            known = self._snapshot
            if known is None or known.generation != self.index.generation:
                known = Snapshot(self.index)
                # Made here, by one.
                _ = known.sparse, known.token_frequency, known.vocabulary, known.superseded
                self.collections = frozenset(known.collections.tolist())
                self._snapshot = known
            return known

    def search(self, query: str, options: Options = DEFAULTS, encoded: Encoded | None = None) -> SearchResult:
        with self._searching:
            return super().search(query, options, encoded)

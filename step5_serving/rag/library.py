"""The documents behind the answers: list, add and remove them while questions are answered.

    report = await library.ingest([Upload("supply.md", "contracts", b"# Supply ...")])
    await library.remove(17)

Reading and embedding happen beside the questions, in a transaction that nobody else sees. Once it is
committed, questions find its documents by keywords; a moment later, when the vector store has followed, by
meaning too. If an ingest from the command line runs at the same time, the second one is refused.
"""

import asyncio
import contextlib
import hashlib
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import Timeout

from shared.config import Settings
from shared.errors import UserError, reason
from step3_rag import cached_index
from step3_rag.ingest import load, update, worker
from step3_rag.ingest.index import Index
from step3_rag.ingest.sources import DEFAULT_COLLECTION
from step3_rag.stores import vector_store
from step5_serving.errors import bad_request, not_found, overloaded, unavailable
from step5_serving.rag.sharing import SharedRetriever

NAME = re.compile(r"[^\x00-\x1f\x7f\\]{1,200}")
PUBLIC = ("id", "name", "collection", "title", "sha256", "size", "chunks")


@dataclass(frozen=True)
class Upload:
    """An uploaded document; implements step 3's Source."""

    file: str
    collection: str
    content: bytes
    known_as: str | None = None  # the key of the document that it replaces

    @property
    def name(self) -> str:
        """Its path, as if the collection were a folder."""
        inside = self.collection == DEFAULT_COLLECTION or self.file.startswith(f"{self.collection}/")
        return self.file if inside else f"{self.collection}/{self.file}"

    @property
    def key(self) -> str:
        return self.known_as or f"upload:{self.name}"

    def size(self) -> int:
        return len(self.content)

    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def read(self) -> load.Document:
        with tempfile.TemporaryDirectory() as folder:  # step 3's loaders read files
            path = Path(folder) / f"document{PurePosixPath(self.file).suffix.lower()}"
            path.write_bytes(self.content)
            return worker.read(path, self.file)


def upload_of(name: str, collection: str | None, content: bytes) -> Upload:
    """An upload by its file name; raises ApiError if the name or its type is not allowed."""
    file = name.strip().removeprefix("./")
    parts = file.split("/")
    if not NAME.fullmatch(file) or any(part.strip() in ("", ".", "..") for part in parts):
        raise bad_request(f"the name {name[:80]!r} is not allowed: use one like leave.md")
    suffix = PurePosixPath(file).suffix.lower()
    if suffix not in load.SUFFIXES:
        raise bad_request(
            f"{file[:80]}: {suffix or 'no ending'} can't be read: use one of {' '.join(load.SUFFIXES)}"
        )
    collection = (collection or "").strip() or (parts[0] if len(parts) > 1 else DEFAULT_COLLECTION)
    if not NAME.fullmatch(collection) or "/" in collection or collection in (".", ".."):
        raise bad_request(f"the collection {collection[:80]!r} is not allowed: use letters")
    return Upload(file, collection, content)


def _public(row: Any) -> dict[str, Any]:
    """What callers see of a document."""
    return {name: row[name] for name in PUBLIC}


class Library:
    """The documents of the index that answers come from."""

    def __init__(self, retriever: SharedRetriever, settings: Settings) -> None:
        self._retriever, self._settings = retriever, settings
        self._changing = asyncio.Lock()  # one change at a time

    async def documents(self) -> list[dict[str, Any]]:
        """Every document: id, name, collection, title, sha256, size, chunks."""
        rows = await asyncio.to_thread(lambda: self._retriever.index.documents())
        return [_public(row) for row in rows]

    async def ingest(self, uploads: Sequence[Upload]) -> dict[str, Any]:
        """Add documents; one whose name exists already becomes its new version.

        Raises:
            ApiError: none of them can be read, or another process changes the index.
        """
        return await self._change(self._ingest, uploads)

    async def remove(self, id: int) -> dict[str, Any]:
        """Remove a document and return its row; raises ApiError if there is none with this id."""
        return await self._change(self._remove, id)

    async def _change(self, work: Callable[[Any], dict[str, Any]], what: Any) -> dict[str, Any]:
        """Run the work in a thread. It goes on when its caller leaves."""
        async with self._changing:
            return await asyncio.shield(asyncio.to_thread(work, what))

    def _ingest(self, uploads: Sequence[Upload]) -> dict[str, Any]:
        with self._writing() as index:
            known = {row["name"]: row["path"] for row in index.documents()}
            sources = [replace(each, known_as=known.get(each.name)) for each in uploads]
            with index.transaction():
                report = update.ingest(index, sources, self._retriever.embedder)
                if report.failed and len(report.failed) == len(uploads):
                    name, why = next(iter(report.failed.items()))
                    raise bad_request(f"{name}: {why}")
            self._update_store(index)
            names = {each.name for each in sources}
            rows = [row for row in index.documents() if row["name"] in names]
        counts = {name: getattr(report, name) for name in ("new", "changed", "unchanged", "failed")}
        return {**counts, "documents": [_public(row) for row in rows]}

    def _remove(self, id: int) -> dict[str, Any]:
        with self._writing() as index:
            row = next((row for row in index.documents() if row["id"] == id), None)
            if row is None:
                raise not_found(f"there is no document {id}: see GET /documents")
            index.remove([id])
            self._update_store(index)
        return _public(row)

    def _update_store(self, index: Index) -> None:
        """Bring the vector store and the shared snapshot up to date."""
        vector_store.sync(index, self._retriever.store)
        _ = self._retriever.snapshot

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Index]:
        """The index with a connection of its own and its process lock.

        Raises:
            ApiError: another process writes, the disk can't be written, or it is the sample's index, which is
                made again from its files at each start.
        """
        folder = self._retriever.index.folder
        if folder == cached_index.sample_home(self._settings):
            raise bad_request(
                "the sample's documents can't be changed: make an index of your own with "
                "`python -m step3_rag ingest PATH`, then start the server again"
            )
        try:
            with update.locked(folder, wait=False), contextlib.closing(Index.open(folder, {})) as index:
                yield index
        except Timeout:
            raise overloaded(
                f"another process is writing to {folder}: try again when it is done", 10
            ) from None
        except UserError as error:
            raise unavailable(str(error), 5) from None
        except (OSError, sqlite3.Error) as error:  # a full disk, for example; the transaction is rolled back
            raise unavailable(f"cannot write to the index: {reason(error)}", 30) from None

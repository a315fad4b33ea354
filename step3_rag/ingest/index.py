"""The index on disk: one SQLite file that holds everything, and a vector store derived from it.

    rag-index/
      index.sqlite     documents, chunks, their vectors: the source of truth
      chroma/          the vector store: a copy of every chunk's vector under the chunk's id

A document's new version replaces the old one in one transaction; the vector store follows (stores/). So the
index works after a kill at any moment: each document is there in one version, and the next ingest does the
others again. Readers never wait: until a transaction ends, they see the index as it was. Since SQLite holds
the vectors too, every store is a copy that can be deleted: another `--store` embeds nothing again.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal, Self
from uuid import uuid4

import numpy as np

from shared.config import Settings
from shared.errors import UserError, reason
from step3_rag.ingest.embed import Encoded
from step3_rag.ingest.stems import stems

REBUILD = "rebuild it with `python -m step3_rag ingest PATH --rebuild`"
FORMAT = 2  # of the tables below
SCHEMA = """
PRAGMA busy_timeout = 20000;
PRAGMA page_size = 16384;  -- token vectors are 100 kB a chunk
PRAGMA journal_mode = WAL;
PRAGMA journal_size_limit = 50000000;  -- bytes that the log keeps after a large document went through it
PRAGMA foreign_keys = ON;
PRAGMA secure_delete = ON;  -- zeros in place of the text of a document that was forgotten
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: a vector store may still hold an old one
    name TEXT NOT NULL, path TEXT NOT NULL UNIQUE, collection TEXT NOT NULL, title TEXT NOT NULL,
    sha256 TEXT NOT NULL, size INTEGER NOT NULL, superseded INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    place INTEGER NOT NULL, start INTEGER NOT NULL, page INTEGER, heading TEXT NOT NULL, text TEXT NOT NULL,
    stems TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_document ON chunks (document);
CREATE TABLE IF NOT EXISTS tokens (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE, ids BLOB NOT NULL, vectors BLOB NOT NULL);
-- The vector stores that hold a copy, and of which generation; -1: being written.
CREATE TABLE IF NOT EXISTS copies (store TEXT PRIMARY KEY, generation INTEGER NOT NULL);
"""
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # all other errors leave the file as it was
CHUNK = (
    "c.id, name, title, collection, place, start, page, heading, text, superseded "
    "FROM chunks c JOIN documents d ON d.id = c.document WHERE"
)


class RebuildNeeded(UserError):
    """An index that can only be made again: it is damaged, or was made with something else."""


@dataclass(frozen=True)
class Chunk:
    """A passage and where it comes from; `id` identifies it in the index and in vector stores."""

    id: int
    document: str  # the document's name
    title: str
    collection: str
    place: int  # 0 for the first chunk of the document
    start: int  # where it begins in the document's text, in characters
    page: int | None
    heading: str
    text: str
    superseded: bool = False  # a newer version has replaced the document

    @property
    def source(self) -> str:
        """Where a reader finds it: `contracts/supply.md, Renewal`."""
        page = f"page {self.page}" if self.page else ""
        return ", ".join(part for part in (self.document, page, self.heading.split(" > ")[-1]) if part)


def joined(chunks: Sequence[Chunk]) -> str:
    """The texts of neighbouring chunks as one, without repeating their overlap."""
    first, *others = sorted(chunks, key=lambda chunk: chunk.place)
    text = first.text
    end = first.start + len(first.text)
    for chunk in others:
        text += chunk.text[end - chunk.start :] if chunk.start < end else f"\n{chunk.text}"
        end = chunk.start + len(chunk.text)
    return text


@dataclass(frozen=True)
class NewDocument:
    """A document on its way into the index; hash and size (bytes) are those of its contents."""

    name: str
    path: str  # identifies it: a document with the same path is its old version
    collection: str
    title: str
    sha256: str
    size: int = 0
    superseded: bool = False


@dataclass(frozen=True)
class NewChunk:
    """A chunk on its way into the index."""

    place: int  # its number in the document
    start: int  # where it begins in the document's text
    page: int | None
    heading: str
    text: str
    embedded: str  # what the embedder reads: the text under its title


def index_facts(settings: Settings, size: int = 128, overlap: int = 32) -> dict[str, Any]:
    """The facts that an index is made with: the embedder, and the sizes of chunks in its tokens."""
    return {"embedder": settings.embedder, "chunk_size": size, "chunk_overlap": overlap}


class Index:
    """An open index."""

    def __init__(self, folder: Path, db: sqlite3.Connection) -> None:
        self.folder = folder
        self.db = db

    # --- opening ------------------------------------------------------------------------------------

    @classmethod
    def exists(cls, folder: Path) -> bool:
        return os.path.exists(folder / "index.sqlite")  # noqa: PTH110  (Path.exists raises where it may not look)

    @classmethod
    def open(cls, folder: Path, facts: dict[str, Any], *, create: bool = False) -> Self:
        """Open the index in a folder, or begin one there.

        Args:
            facts: what the chunks are made with (`embedder`, `chunk_size`, ...); an index that exists must
                have been made with the same.

        Raises:
            RebuildNeeded: it is damaged, or was made with something else.
            UserError: there is none, or it can't be opened now; or a new one would share the folder with a
                Chroma database that is not its own.
        """
        file = folder / "index.sqlite"
        if not cls.exists(folder):
            if not create:
                raise UserError(f"no index in {folder}: make one with `python -m step3_rag ingest PATH`")
            if (folder / "chroma").exists():
                raise UserError(
                    f"{folder} has a folder `chroma`, but no index: name another folder with --index"
                )
        db: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            db.executescript(SCHEMA)
            index = cls(folder, db)
            index._agree({"format": FORMAT, **facts}, create=create)
        except (sqlite3.Error, OSError, ValueError, UserError) as error:
            if db:
                db.close()
            raise error if isinstance(error, UserError) else unusable(folder, error) from None
        return index

    def _agree(self, facts: dict[str, Any], *, create: bool) -> None:
        known = self.facts
        if not known and create:
            own = {"generation": 0, "id": uuid4().hex}  # the id is its name on a vector store's server
            rows = [(key, json.dumps(value)) for key, value in {**own, **facts}.items()]
            with self.transaction():  # all or none: an index with half of its facts could not be opened
                self.db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", rows)
            return
        for key, value in facts.items():
            if known.get(key) != value:
                way_out = f"use that one, or {REBUILD}"
                if key == "format":
                    way_out = f"{REBUILD} (documents that were uploaded must be uploaded again)"
                raise RebuildNeeded(
                    f"the index in {self.folder} was made with {key.replace('_', ' ')} {known.get(key)}, "
                    f"not {value}: {way_out}"
                )

    def close(self) -> None:
        self.db.close()

    @property
    def facts(self) -> dict[str, Any]:
        """What the index was made with, its generation and its id."""
        return {key: json.loads(value) for key, value in self.rows("SELECT key, value FROM meta")}

    # --- writing ------------------------------------------------------------------------------------

    def replace(self, document: NewDocument) -> int:
        """Put a document without chunks in the place of its old version; returns its id.

        The caller opens a transaction that also adds the chunks.
        """
        self.db.execute("DELETE FROM documents WHERE path = ?", (document.path,))
        row = self.db.execute(
            "INSERT INTO documents (name, path, collection, title, sha256, size, superseded) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            astuple(document),
        )
        self._count_up()
        return int(row.lastrowid or 0)

    def add(self, document: int, chunks: Iterable[NewChunk], encoded: Iterable[Encoded]) -> None:
        """Add chunks with their vectors to a document."""
        for chunk, one in zip(chunks, encoded, strict=True):
            words = " ".join(stems(chunk.embedded))
            vector = one.vector.tobytes()
            row = self.db.execute(
                "INSERT INTO chunks (document, place, start, page, heading, text, stems, vector) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (document, chunk.place, chunk.start, chunk.page, chunk.heading, chunk.text, words, vector),
            )
            self.db.execute(
                "INSERT INTO tokens VALUES (?, ?, ?)",
                (row.lastrowid, one.token_ids.tobytes(), one.token_vectors.tobytes()),
            )

    def remove(self, documents: Iterable[int]) -> None:
        """Remove documents."""
        with self.transaction():
            for document in documents:
                self.db.execute("DELETE FROM documents WHERE id = ?", (document,))
                self._count_up()

    def _count_up(self) -> None:
        self.db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")

    def begin_anew(self, facts: dict[str, Any]) -> None:
        """Remove all documents, for new ones made with `facts`; the caller opens the transaction."""
        self.db.execute("DELETE FROM documents")
        rows = [(json.dumps(value), key) for key, value in facts.items()]
        self.db.executemany("UPDATE meta SET value = ? WHERE key = ?", rows)
        self._count_up()

    @contextlib.contextmanager
    def transaction(self, mode: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE") -> Iterator[None]:
        """Commit everything that the body writes or, after an error, nothing; it may be part of an outer one.

        A body that only reads takes the mode DEFERRED, which waits for nobody.
        """
        if self.db.in_transaction:
            yield
            return
        self.db.execute(f"BEGIN {mode}")
        with self.db, one_line_errors(self.folder):  # commits, or rolls back after an error
            yield

    # --- reading ------------------------------------------------------------------------------------

    def rows(self, statement: str, given: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query.

        Raises:
            UserError: the file is damaged.
        """
        with one_line_errors(self.folder):
            return self.db.execute(statement, given).fetchall()

    def documents(self) -> list[dict[str, Any]]:
        """Every document: id, name, path, collection, title, sha256, size, chunks, superseded."""
        rows = self.rows(
            "SELECT d.id, name, path, collection, title, sha256, size, count(c.id), superseded "
            "FROM documents d LEFT JOIN chunks c ON c.document = d.id GROUP BY d.id ORDER BY name"
        )
        names = ("id", "name", "path", "collection", "title", "sha256", "size", "chunks", "superseded")
        return [dict(zip(names, row, strict=True)) for row in rows]

    @property
    def generation(self) -> int:
        """A number that increases with every change of the chunks."""
        return int(self.facts["generation"])

    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        """Chunks in the order of `ids`, without those that no longer exist."""
        by_id = {row[0]: Chunk(*row) for row in self._select(f"{CHUNK} c.id", ids)}
        return [by_id[id] for id in ids if id in by_id]

    def chunks_of(self, document: str) -> list[Chunk]:
        """All chunks of a document, in order."""
        return [Chunk(*row) for row in self.rows(f"SELECT {CHUNK} name = ? ORDER BY place", [document])]

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """The chunks' vectors, shape (len(ids), dim)."""
        rows = dict(self._select("id, vector FROM chunks WHERE id", ids))
        return np.stack([np.frombuffer(rows[id], np.float32) for id in ids])

    def token_vectors(self, ids: Sequence[int], dim: int) -> list[np.ndarray]:
        """Each chunk's token vectors, shape (tokens, dim), float16; no tokens if it no longer exists."""
        rows = dict(self._select("chunk, vectors FROM tokens WHERE chunk", ids))
        return [np.frombuffer(rows.get(id, b""), np.float16).reshape(-1, dim) for id in ids]

    def _select(self, what: str, ids: Sequence[int]) -> Any:
        return self.rows(f"SELECT {what} IN (SELECT value FROM json_each(?))", [json.dumps(list(ids))])


def is_damage(error: Exception) -> bool:
    """Whether an error means that the file itself is broken, and not that the disk is full or locked."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF in DAMAGE  # the other bits tell more, such as SQLITE_CORRUPT_INDEX
    return isinstance(error, ValueError)  # a fact that is no JSON


def unusable(folder: Path, error: Exception) -> UserError:
    """The error for an index that can't be opened or read."""
    if not os.access(folder, os.W_OK):
        return UserError(f"{folder} is read-only, and a search writes to its index, too: make it writable")
    if is_damage(error):
        return RebuildNeeded(f"the index in {folder} cannot be read ({reason(error)}): {REBUILD}")
    return UserError(
        f"the index in {folder} cannot be opened ({reason(error)}): "
        "check the free space of the disk and the rights of the folder"
    )


@contextlib.contextmanager
def one_line_errors(folder: Path) -> Iterator[None]:
    """Turn SQLite's error about a damaged file into a RebuildNeeded."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not is_damage(error):  # a lock, a full disk
            raise
        raise unusable(folder, error) from None

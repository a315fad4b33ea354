"""The index on disk: one SQLite file that holds everything, and a vector store derived from it.

    rag-index/
      index.sqlite     documents, chunks, their vectors: the source of truth
      chroma/          the vector store: every chunk's vector under the chunk's id

A document's new version replaces the old one in one transaction; the vector store follows (stores/). So the
index works after a kill at any moment: complete documents are there, and the next ingest does the others
again. Since SQLite holds the vectors too, every store is a copy that can be deleted: another `--store`
embeds nothing again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from shared.errors import UserError
from step3_rag.ingest.database import FORMAT, SCHEMA, damaged, one_line_errors
from step3_rag.ingest.embed import Encoded
from step3_rag.ingest.stems import stems

REPEATED = 8  # characters: a shorter common text of two neighbours may be chance


@dataclass(frozen=True)
class Chunk:
    """A passage and where it comes from; `id` identifies it in the index and in vector stores."""

    id: int
    document: str  # the document's name
    title: str
    collection: str
    place: int  # 0 for the first chunk of the document
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
    ordered = sorted(chunks, key=lambda each: each.place)
    text = ordered[0].text
    for chunk in ordered[1:]:
        longest = min(len(text), len(chunk.text))
        shared = next((n for n in range(longest, 0, -1) if _repeats(text, chunk.text[:n])), 0)
        text += chunk.text[shared:] if shared else f"\n{chunk.text}"
    return text


def _repeats(text: str, begin: str) -> bool:
    """Whether a text ends with the beginning of the next, and not by chance: cells of tables look alike."""
    if len(begin) < REPEATED or not text.endswith(begin):
        return False
    before = text[: -len(begin)]
    return not begin.startswith("|") or not before or before.endswith("\n")


@dataclass(frozen=True)
class NewChunk:
    """A chunk on its way into the index."""

    page: int | None
    heading: str
    text: str
    embedded: str  # what the embedder reads: the text under its title


class Index:
    """An open index. The methods that read return complete documents only."""

    def __init__(self, folder: Path, db: sqlite3.Connection) -> None:
        self.folder, self.db = folder, db

    # --- opening ------------------------------------------------------------------------------------

    @classmethod
    def exists(cls, folder: Path) -> bool:
        return (folder / "index.sqlite").exists()

    @classmethod
    def open(cls, folder: Path, facts: dict[str, Any], *, create: bool = False) -> Index:
        """Open the index in a folder, or begin one there.

        Args:
            facts: what the chunks are made with (`embedder`, `chunk_size`, ...); an index that exists must
                have been made with the same.

        Raises:
            UserError: there is none, it is damaged, or it was made with something else.
        """
        file = folder / "index.sqlite"
        if not create and not file.exists():
            raise UserError(f"no index in {folder}: make one with `python -m step3_rag ingest PATH`")
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
            raise error if isinstance(error, UserError) else damaged(folder, error) from None
        return index

    def _agree(self, facts: dict[str, Any], *, create: bool) -> None:
        known = self.facts
        if not known and not create:
            raise ValueError("it is empty")
        if not known:
            own = {"generation": 0, "id": uuid4().hex}  # the id is its name on a vector store's server
            rows = [(key, json.dumps(value)) for key, value in {**own, **facts}.items()]
            with self.transaction():  # all or none: an index with half of its facts could not be opened
                self.db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", rows)
            return
        for key, value in facts.items():
            if known.get(key) != value:
                raise UserError(
                    f"the index in {self.folder} was made with {key.replace('_', ' ')} {known.get(key)}, "
                    f"not {value}: use that one, or rebuild it with `ingest --rebuild`"
                )

    def close(self) -> None:
        self.db.close()

    @property
    def facts(self) -> dict[str, Any]:
        """What the index was made with, its generation and its id."""
        return {key: json.loads(value) for key, value in self.rows("SELECT key, value FROM meta")}

    # --- writing ------------------------------------------------------------------------------------

    def begin(
        self,
        name: str,
        path: str,
        collection: str,
        title: str,
        sha256: str,
        size: int = 0,
        superseded: bool = False,
    ) -> int:
        """Add a document that is not visible yet; hash and size (bytes) are those of its contents."""
        row = self.db.execute(  # in the first version's indexes, mtime_ns has no default
            "INSERT INTO documents (name, path, collection, title, sha256, size, mtime_ns) "
            "VALUES (?, ?, ?, ?, ?, ?, 0)",
            (name, path, collection, title, sha256, size),
        )
        document = int(row.lastrowid or 0)
        if superseded:
            self.db.execute("INSERT INTO versions (document, superseded) VALUES (?, 1)", (document,))
        return document

    def add(self, chunks: Iterable[tuple[int, int, NewChunk, Encoded]]) -> None:
        """Add chunks to documents that were begun: document, place in it, text, vectors."""
        with self.transaction():
            for document, place, chunk, one in chunks:
                words, vector = " ".join(stems(chunk.embedded)), one.vector.tobytes()
                row = self.db.execute(
                    "INSERT INTO chunks (document, place, page, heading, text, stems, vector) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (document, place, chunk.page, chunk.heading, chunk.text, words, vector),
                )
                self.db.execute(
                    "INSERT INTO tokens VALUES (?, ?, ?)",
                    (row.lastrowid, one.token_ids.tobytes(), one.token_vectors.tobytes()),
                )

    def finish(self, documents: Iterable[int]) -> None:
        """Make documents visible in place of their old versions, in one transaction."""
        with self.transaction():
            for document in documents:
                self.db.execute(
                    "DELETE FROM documents "
                    "WHERE id != ? AND path = (SELECT path FROM documents WHERE id = ?)",
                    (document, document),
                )
                self.db.execute("UPDATE documents SET complete = 1 WHERE id = ?", (document,))
            self._count_up()

    def remove(self, documents: Iterable[int]) -> None:
        """Remove documents; removing one that was never visible doesn't change the generation."""
        with self.transaction():
            for each in documents:
                deleted = self.db.execute("DELETE FROM documents WHERE id = ? RETURNING complete", (each,))
                if any(complete for (complete,) in deleted.fetchall()):
                    self._count_up()

    def clear_incomplete(self) -> None:
        """Remove what a killed ingest left behind."""
        self.db.execute("DELETE FROM documents WHERE NOT complete")

    def _count_up(self) -> None:
        self.db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")

    def begin_anew(self, facts: dict[str, Any]) -> None:
        """Remove all documents, for new ones made with `facts`; the caller opens the transaction."""
        self.db.execute("DELETE FROM documents")
        rows = [(json.dumps(value), key) for key, value in facts.items()]
        self.db.executemany("UPDATE meta SET value = ? WHERE key = ?", rows)
        self._count_up()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything that the body writes or, after an error, nothing; it may be nested."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            with one_line_errors(self.folder):
                yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

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
            "SELECT d.id, name, path, collection, title, sha256, size, count(c.id), "
            "coalesce(v.superseded, 0) FROM documents d "
            "LEFT JOIN versions v ON v.document = d.id LEFT JOIN chunks c ON c.document = d.id "
            "WHERE complete GROUP BY d.id ORDER BY name"
        )
        names = ("id", "name", "path", "collection", "title", "sha256", "size", "chunks", "superseded")
        return [dict(zip(names, (*row[:8], bool(row[8])), strict=True)) for row in rows]

    @property
    def generation(self) -> int:
        """A number that increases with every change of the chunks."""
        return int(self.facts["generation"])

    def chunks(self, ids: Sequence[int]) -> list[Chunk]:
        """Chunks in the order of `ids`, without those that no longer exist."""
        rows = self._select(
            "c.id, name, title, collection, place, page, heading, text, coalesce(superseded, 0) "
            "FROM chunks c JOIN documents d ON d.id = c.document "
            "LEFT JOIN versions v ON v.document = d.id WHERE c.id",
            ids,
        )
        found = {row[0]: Chunk(*row) for row in rows}
        return [found[each] for each in ids if each in found]

    def neighbours(self, document: str, first: int, last: int) -> list[Chunk]:
        """The chunks of a document from place `first` to `last`."""
        rows = self.rows(
            "SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document "
            "WHERE complete AND name = ? AND place BETWEEN ? AND ? ORDER BY place",
            (document, first, last),
        )
        return self.chunks([row[0] for row in rows])

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """The chunks' vectors, shape (len(ids), dim)."""
        rows = dict(self._select("id, vector FROM chunks WHERE id", ids))
        return np.stack([np.frombuffer(rows[each], np.float32) for each in ids])

    def token_vectors(self, ids: Sequence[int], dim: int) -> list[np.ndarray]:
        """Each chunk's token vectors, shape (tokens, dim), float16; no tokens if it no longer exists."""
        rows = dict(self._select("chunk, vectors FROM tokens WHERE chunk", ids))
        return [np.frombuffer(rows.get(each, b""), np.float16).reshape(-1, dim) for each in ids]

    def _select(self, what: str, ids: Sequence[int]) -> Any:
        return self.rows(f"SELECT {what} IN ({','.join('?' * len(ids))})", list(ids))

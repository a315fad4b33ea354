"""The tables of an index, and a connection that says in one line when they can't be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason

FORMAT = 1  # of the tables below
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: a store may still know an old one
    name TEXT NOT NULL, path TEXT NOT NULL, collection TEXT NOT NULL, title TEXT NOT NULL,
    sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL DEFAULT 0,  -- of the first version; not used
    complete INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_path ON documents (path);
CREATE TABLE IF NOT EXISTS versions (  -- of the documents that are superseded; older tables have more columns
    document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE, superseded INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    place INTEGER NOT NULL, page INTEGER, heading TEXT NOT NULL, text TEXT NOT NULL,
    stems TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_document ON chunks (document);
CREATE TABLE IF NOT EXISTS tokens (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE, ids BLOB NOT NULL, vectors BLOB NOT NULL);
-- The vector stores that hold a copy, and of which generation; -1: being written.
CREATE TABLE IF NOT EXISTS copies (store TEXT PRIMARY KEY, generation INTEGER NOT NULL);
"""


def damaged(folder: Path, error: Exception) -> UserError:
    """The one line for an index that can't be read."""
    anew = "rebuild it with `python -m step3_rag ingest PATH --rebuild`"
    return UserError(f"the index in {folder} cannot be read ({reason(error)}): {anew}")


def _explained(name: str) -> Callable[..., Any]:
    """A method of cursors that says which index is damaged, wherever in the file that shows."""
    method = getattr(sqlite3.Cursor, name)

    def call(cursor: Cursor, *args: Any) -> Any:
        try:
            return method(cursor, *args)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED:  # its lowest byte is the kind
                raise damaged(cursor.connection.folder, error) from None
            raise

    return call


class Cursor(sqlite3.Cursor):
    """Rows, or the one line that says what to do."""

    connection: Database
    execute, fetchone, fetchall, __next__ = map(_explained, ("execute", "fetchone", "fetchall", "__next__"))


class Database(sqlite3.Connection):
    """The connection of an index."""

    folder: Path

    def execute(self, *args: Any) -> Any:
        return self.cursor(Cursor).execute(*args)

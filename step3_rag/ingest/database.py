"""The tables of an index, and the one-line error if the file is damaged."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from shared.errors import UserError, reason

FORMAT = 2  # of the tables below
SCHEMA = """
PRAGMA busy_timeout = 20000;
PRAGMA page_size = 16384;  -- token vectors are 100 kB a chunk
PRAGMA journal_mode = WAL;
PRAGMA journal_size_limit = 50000000;  -- bytes that the log keeps after a large document went through it
PRAGMA foreign_keys = ON;
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


def damaged(folder: Path, error: Exception) -> UserError:
    """The error for an index that can't be read."""
    advice = "rebuild it with `python -m step3_rag ingest PATH --rebuild`"
    return UserError(f"the index in {folder} cannot be read ({reason(error)}): {advice}")


@contextlib.contextmanager
def one_line_errors(folder: Path) -> Iterator[None]:
    """Turn SQLite's error about a damaged file into a UserError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # subclasses: a lock, a full disk
            raise
        raise damaged(folder, error) from None

"""Databases that the grader opens itself: what somebody's SQL gives on secret rows, and what is in a file.

    select("SELECT max(ms) AS m FROM measured", {"measured": [{"ms": 2.5}]})      [['m'], [2.5]]
    tables({"a.db": b"SQLite format 3...", "a.db-wal": b"..."}, {"calls": ("id",)})

Neither the text nor the bytes are trusted: a statement may read and compute, for a bounded time, and no more.
"""

from __future__ import annotations

import sqlite3
import struct
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SECONDS = 2.0
MOST_ROWS = 10_000
READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
NUMBERS = "abs avg coalesce count iif ifnull max min nullif round sum total"
WINDOWS = "cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number"
FUNCTIONS = frozenset(f"{NUMBERS} {WINDOWS}".split())
WAL_HEADER, FRAME_HEADER = 32, 24  # bytes, as sqlite.org/fileformat2.html has it


class NoDatabase(AssertionError):
    """What came is no database, or its statement can't be run, in words."""


def _read(db: sqlite3.Connection, statements: Sequence[str]) -> list[list[list[Any]]]:
    """Of each statement the names of its columns, then its rows. Nothing but reading, for SECONDS at most."""
    until = time.monotonic() + SECONDS

    def allowed(action: int, _one: str | None, other: str | None, _db: str | None, inside: str | None) -> int:
        reads = action in READS and inside is None
        computes = action == sqlite3.SQLITE_FUNCTION and (other or "").lower() in FUNCTIONS
        return sqlite3.SQLITE_OK if reads or computes else sqlite3.SQLITE_DENY

    db.execute("PRAGMA trusted_schema = OFF")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 20)
    db.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
    db.setlimit(sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 20)
    db.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    db.set_authorizer(allowed)
    found = []
    try:
        for statement in statements:
            cursor = db.execute(statement)
            rows = [list(row) for row in cursor.fetchmany(MOST_ROWS + 1)]
            if len(rows) > MOST_ROWS:
                raise NoDatabase("too many rows")
            found.append([[name for name, *_ in cursor.description or ()], *rows])
    except sqlite3.Error as error:
        raise NoDatabase(f"SQLite says: {str(error)[:200]}") from None
    finally:
        db.set_authorizer(None)
        db.close()
    return found


def select(sql: Any, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[Any]]:
    """The names of a statement's columns, then its rows, sorted: of a new database with these tables."""
    if type(sql) is not str:
        raise NoDatabase("the statement is not a text")
    db = sqlite3.connect(":memory:")
    for table, given in rows.items():
        names = list(given[0])
        db.execute(f"CREATE TABLE {table} ({', '.join(names)})")
        values = ", ".join(f":{name}" for name in names)
        filled = [each for each in given if any(each.values())]
        db.executemany(f"INSERT INTO {table} VALUES ({values})", filled)
    [[names, *found]] = _read(db, [sql])
    return [names, *sorted(found, key=repr)]


def tables(files: Any, columns: Mapping[str, Sequence[str]]) -> dict[str, list[list[Any]]] | None:
    """The rows of each table with these columns, as another connection finds them. None: there is no file.

    Args:
        files: the contents of the database's files by their names: its own, and that of its log ("-wal").
    """
    fine = type(files) is dict and all(type(each) is bytes for each in files.values()) and len(files) < 9
    if not fine or not all(type(name) is str for name in files):
        raise NoDatabase("these are no files")
    main = next((name for name in files if name.endswith(".db")), None)
    if main is None:
        return None
    with tempfile.TemporaryDirectory(prefix="database") as folder:
        path = Path(folder, "copy.db")
        path.write_bytes(files[main])
        if log := files.get(f"{main}-wal"):
            path.with_name("copy.db-wal").write_bytes(log)
        statements = [
            f"SELECT {', '.join(names)} FROM {table} ORDER BY 1" for table, names in columns.items()
        ]
        found = _read(sqlite3.connect(path), statements)
    return {table: rows for table, [_names, *rows] in zip(columns, found, strict=True)}


def commits(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> int:
    """How many transactions were written between two looks at the files: the log has a mark for each."""
    (old, salt), (new, other) = _marks(before), _marks(after)
    return new - old if salt == other else new


def _marks(files: Mapping[str, bytes]) -> tuple[int, bytes]:
    """Frames of a log that end a transaction, and what tells this log from the one before."""
    log = next((each for name, each in files.items() if name.endswith("-wal")), b"")
    if len(log) < WAL_HEADER:
        return 0, b""
    size, salt = struct.unpack(">I", log[8:12])[0], log[16:24]
    if not 512 <= size <= 65536:
        raise NoDatabase("this is no log")
    marks = 0
    for place in range(WAL_HEADER, len(log) - FRAME_HEADER, FRAME_HEADER + size):
        if log[place + 8 : place + 16] != salt:
            break
        marks += log[place + 4 : place + 8] != bytes(4)
    return marks, salt

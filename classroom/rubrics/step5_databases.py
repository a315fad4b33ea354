"""Databases that the grader opens itself: what a submission's SQL gives on secret rows, and a file's rows.

    select("SELECT max(ms) AS m FROM measured", "measured", ["ms"], [[2.5]])      [['m'], [2.5]]
    tables(b"SQLite format 3...", {"calls": ("id",)})

Neither the SQL nor the bytes are trusted: a statement may only read and compute, for a bounded time.
"""

import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SECONDS = 2.0
MOST_ROWS = 10_000
READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
# Functions that are quick on any value. One call of others (like, instr, replace) may take a second, and
# SQLite looks at the clock only after thousands of calls.
NUMBERS = "abs avg coalesce count iif ifnull max min nullif round sum total"
WINDOWS = "cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number"
FUNCTIONS = frozenset(f"{NUMBERS} {WINDOWS}".split())


class NoDatabase(AssertionError):
    """These files are not a database, or the statement can't be run."""


def _read(db: sqlite3.Connection, statements: Sequence[str]) -> list[list[list[Any]]]:
    """The names of each statement's columns, then its rows. It may only read, for SECONDS at most."""
    until = time.monotonic() + SECONDS

    def authorize(action: int, _one: str | None, name: str | None, *_where: str | None) -> int:
        computes = action == sqlite3.SQLITE_FUNCTION and (name or "").lower() in FUNCTIONS
        return sqlite3.SQLITE_OK if action in READS or computes else sqlite3.SQLITE_DENY

    db.execute("PRAGMA trusted_schema = OFF")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 14)  # of a row
    db.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
    db.setlimit(sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 20)
    db.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    db.set_authorizer(authorize)
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


def select(sql: Any, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The names of the statement's columns, then its rows, sorted: on a new database with this table."""
    if type(sql) is not str:
        raise NoDatabase("the statement is not a text")
    db = sqlite3.connect(":memory:")
    db.execute(f"CREATE TABLE {table} ({', '.join(names)})")
    db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})", rows)
    [[columns, *found]] = _read(db, [sql])
    return [columns, *sorted(found, key=repr)]


def tables(content: bytes, columns: Mapping[str, Sequence[str]]) -> dict[str, list[list[Any]]]:
    """The rows of each table with these columns, as another connection finds them in this file."""
    with tempfile.TemporaryDirectory(prefix="database") as folder:
        path = Path(folder, "copy.db")
        path.write_bytes(content)
        statements = [
            f"SELECT {', '.join(names)} FROM {table} ORDER BY 1" for table, names in columns.items()
        ]
        found = _read(sqlite3.connect(path), statements)
    return {table: rows for table, [_names, *rows] in zip(columns, found, strict=True)}

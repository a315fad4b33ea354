"""Databases that the grader opens itself: what a submission's SQL gives on secret rows, and a file's rows.

    select("SELECT max(ms) AS m FROM measured", "measured", ["ms"], [[2.5]])      [['m'], [2.5]]
    tables({"a.db": b"SQLite format 3...", "a.db-wal": b"..."}, {"calls": ("id",)})

Neither the SQL nor the bytes are trusted: a statement may only read and compute, for a bounded time.
"""

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
# Functions that are quick on any value. One call of others (like, instr, replace) may take a second, and
# SQLite looks at the clock only after thousands of calls.
NUMBERS = "abs avg coalesce count iif ifnull max min nullif round sum total"
WINDOWS = "cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number"
FUNCTIONS = frozenset(f"{NUMBERS} {WINDOWS}".split())
WAL_HEADER, FRAME_HEADER = 32, 24  # bytes, as sqlite.org/fileformat2.html has it


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


def tables(files: Any, columns: Mapping[str, Sequence[str]]) -> dict[str, list[list[Any]]] | None:
    """The rows of each table with these columns, as another connection finds them; None if there is no file.

    Args:
        files: the contents of the database's files by name: its own, and that of its log ("-wal").
    """
    few = type(files) is dict and len(files) <= 8
    if not few or not all(type(name) is str and type(each) is bytes for name, each in files.items()):
        raise NoDatabase("these are not files")
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
    """How many transactions were written between two copies of the files: the log marks the end of each."""
    (old, salt), (new, other) = _marks(before), _marks(after)
    return new - old if salt == other else new


def _marks(files: Mapping[str, bytes]) -> tuple[int, bytes]:
    """How many frames of the log end a transaction, and the salt, which a new log changes."""
    log = next((each for name, each in files.items() if name.endswith("-wal")), b"")
    if len(log) < WAL_HEADER:
        return 0, b""
    size, salt = struct.unpack(">I", log[8:12])[0], log[16:24]
    if not 512 <= size <= 65536:
        raise NoDatabase("this is not a log")
    marks = 0
    for place in range(WAL_HEADER, len(log) - FRAME_HEADER, FRAME_HEADER + size):
        if log[place + 8 : place + 16] != salt:
            break
        marks += log[place + 4 : place + 8] != bytes(4)
    return marks, salt

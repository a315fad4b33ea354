"""The telemetry database: SQLite in a file, or Postgres, behind the same few methods.

    store = Store.open("sqlite:///telemetry.db", create=True)
    store.read(select(func.count()).select_from(calls))[0][0]

Connections are pooled, and checked before use: a Postgres that was restarted or a file that was replaced is
noticed at once. The pool has no upper limit, so that a row never waits for readers.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sqlite3
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.errors import UserError, reason
from step5_serving.errors import TelemetryDown, not_found
from step5_serving.telemetry.call import now
from step5_serving.telemetry.schema import (
    RUNNING,
    VERSION,
    bodies,
    calls,
    clean,
    feedback,
    meta,
    metadata,
    microseconds,
)

ALLOWED = "use FILE, sqlite:///FILE or postgresql+psycopg://HOST/NAME"
LOCK = 0x5E1E6E7D  # any number; held while the tables are made, so that several workers may start at once
LONGEST_CALL = timedelta(hours=1)  # a call that has run for longer is lost, whoever its owner is
PATIENCE = 2.0  # seconds that a write waits for the lock
ROOM = "x" * 65536  # written by `probe`: a full disk still takes a few bytes
STEP = 2000  # calls that `prune` deletes per transaction, so that other writers wait only milliseconds
THUMBS = {"up": 1, "down": -1}
WRITES = {"begin": "BEGIN IMMEDIATE"}  # on SQLite: take the write lock at the start
OWNER = f"{platform.node()}/{os.getpid()}"  # of the calls that this process answers


class Store:
    """An open database; `file` is its path if it is SQLite's."""

    def __init__(self, url: sa.URL, file: Path | None) -> None:
        self.url, self.file = url, file
        self._pooled = self._file_id()  # the file that pooled connections have open
        if file is None:
            limits = {"connect_timeout": 5, "options": f"-c lock_timeout={int(1000 * PATIENCE)}"}
            self.engine = sa.create_engine(url, pool_pre_ping=True, connect_args=limits, max_overflow=-1)
        else:
            pool: Any = {"creator": self._connect, "poolclass": sa.QueuePool, "max_overflow": -1}
            self.engine = sa.create_engine("sqlite://", paramstyle="named", **pool)
            sa.event.listen(self.engine, "begin", _begin)
        self.put_call, self.put_body = self._upsert(calls), self._upsert(bodies)

    @classmethod
    def open(cls, text: str, *, create: bool = False) -> Store:
        """Open the database of a URL or file name; with `create`, make it if it doesn't exist.

        Raises:
            UserError: the URL is wrong, nothing is there, it can't be reached, or it isn't telemetry.
        """
        store = cls(*parse(text))
        if store.file is not None and not create and not store.file.exists():
            raise UserError(f"no telemetry in {store.file}: `python -m step5_serving serve` writes it there")
        try:
            if create:
                store.make()
            store._check_format()
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise UserError(f"telemetry in {store.name} cannot be opened: {why(error)}") from None
        return store

    @property
    def name(self) -> str:
        """For messages; without a password."""
        return str(self.file) if self.file else self.url.render_as_string(hide_password=True)

    def make(self) -> None:
        """Make the tables if there are none; one process at a time."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._keep_private(self.file)
            with contextlib.closing(sqlite3.connect(self.file, timeout=10 * PATIENCE)) as db:
                db.execute("PRAGMA journal_mode = WAL")
        with self.writing() as connection:
            if self.file is None:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            if not sa.inspect(connection).get_table_names():
                metadata.create_all(connection)
                connection.execute(sa.insert(meta).values(key="schema_version", value=str(VERSION)))

    @staticmethod
    def _keep_private(file: Path) -> None:
        """Only the file's owner may read it; SQLite gives its log the same rights. Corrects an older one."""
        file.touch(0o600)
        for part in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            with contextlib.suppress(OSError):  # not there, or somebody else's
                part.chmod(0o600)

    def _check_format(self) -> None:
        with self.engine.connect() as connection:
            tables = set(sa.inspect(connection).get_table_names())
            if not {"meta", "calls", "bodies"} <= tables:
                what = "holds other tables" if tables else "is empty"
                raise UserError(f"{self.name} {what}, not telemetry: give another place with --telemetry")
            found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
        if found != str(VERSION):
            raise UserError(
                f"telemetry in {self.name} has format {found}, this program writes {VERSION}: "
                "use the version that made it, or choose another place with --telemetry"
            )

    def close(self) -> None:
        self.engine.dispose()

    # --- reading and writing ------------------------------------------------------------------------------

    def read(self, *statements: Any) -> list[Sequence[Any]]:
        """The rows of each statement, all from one snapshot; raises TelemetryDown if that fails."""
        level = {"isolation_level": "REPEATABLE READ"} if self.file is None else {}
        self._close_stale()
        try:
            with self.engine.connect().execution_options(**level) as connection:
                return [connection.execute(each).all() for each in statements]
        except sa.exc.SQLAlchemyError as error:
            raise TelemetryDown(f"telemetry cannot be read: {why(error)}") from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A write transaction, committed at the end of the `with`. A deleted file is made again.

        Raises:
            SQLAlchemyError: the database can't be written.
            OSError: the file can't be made, or was deleted meanwhile, and the rows with it.
        """
        if self.file is not None and not self.file.exists():
            print(f"telemetry: {self.name} was deleted; a new one is made", file=sys.stderr)
            self.make()
        before = self._close_stale()
        with self.engine.connect().execution_options(**WRITES) as connection:
            try:
                with connection.begin():
                    yield connection
                if self.file is not None and (before is None or self._file_id() != before):
                    raise FileNotFoundError(2, "the database was deleted while it was written to")
            except BaseException:
                connection.invalidate()  # close it instead of returning it to the pool
                raise

    def _upsert(self, table: sa.Table) -> str:
        """SQL that inserts a row or replaces the one with its span id.

        It is compiled once: for each call, that takes SQLAlchemy as long as the database takes to run it.
        """
        insert = (sqlite if self.file else postgresql).insert(table)
        names = [each.name for each in table.c if each.name != "id"]
        values = {name: insert.excluded[name] for name in names if name != "span_id"}
        statement = insert.on_conflict_do_update(index_elements=["span_id"], set_=values)
        return str(statement.compile(dialect=self.engine.dialect, column_keys=names))

    def probe(self) -> None:
        """Write and delete some data; raises what `writing` raises if the database can't be written now."""
        room = meta.c.key == "room"
        with self.writing() as connection:
            connection.execute(sa.delete(meta).where(room))
            connection.execute(sa.insert(meta).values(key="room", value=ROOM))
        with self.writing() as connection:
            connection.execute(sa.delete(meta).where(room))
        self.engine.dispose()  # closing all connections empties SQLite's log, so that the data takes no room

    def mark_lost(self) -> int:
        """Close the rows of calls whose process ended before they did; returns how many there were.

        It is called before this process answers a call. Lost calls count as failed (status 500, error type
        `lost`). Calls on another machine are lost after an hour.

        Raises:
            SQLAlchemyError: the database can't be written.
        """
        with self.writing() as connection:
            owners = connection.execute(sa.select(calls.c.opened_by).where(RUNNING).distinct()).scalars()
            gone = [each for each in owners if _is_gone(each)]
            old = calls.c.started_us < microseconds(now() - LONGEST_CALL)
            lost = sa.update(calls).where(RUNNING, calls.c.opened_by.in_(gone) | old)
            values = {"http_response_status_code": 500, "error_type": "lost", "opened_by": None}
            return connection.execute(lost.values(**values)).rowcount

    def prune(self, older_than: timedelta) -> int:
        """Delete older calls with their texts; returns how many. Raises UserError if it is locked.

        SQLite writes zeros over the texts, and empties its log unless somebody still reads an older state.
        """
        old = calls.c.started_us < microseconds(now() - older_than)
        some = sa.delete(calls).where(calls.c.id.in_(sa.select(calls.c.id).where(old).limit(STEP)))
        deleted = 0
        try:
            while True:
                with self.writing() as connection:
                    count = connection.execute(some).rowcount
                deleted += count
                if count < STEP:
                    break
            if self.file is not None:
                with contextlib.closing(self._connect()) as db:
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return deleted
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise UserError(f"telemetry in {self.name} cannot be pruned: {why(error)}") from None

    def is_foreign(self, trace_id: str, key_id: str | None) -> bool:
        """Whether a trace has a call of another key; raises TelemetryDown if it can't be read."""
        others = calls.c.key_id.is_distinct_from(key_id)
        [rows] = self.read(sa.select(calls.c.id).where(calls.c.trace_id == trace_id, others).limit(1))
        return bool(rows)

    def save_feedback(
        self, id: str, thumb: str | None, comment: str | None = None, key_id: str | None = None
    ) -> None:
        """Store an opinion on an answer, in place of an earlier one.

        Args:
            id: the call's trace id, or its span id if the trace has several calls.
            thumb: `up`, `down` or None.

        Raises:
            UserError: several calls have that trace id.
            ApiError: this key made no such call, or it still runs.
            TelemetryDown: the database can't be read or written.
        """
        c = calls.c
        matches = (c.trace_id == id) | (c.span_id == id)
        mine = c.key_id.is_not_distinct_from(key_id)
        [spans] = self.read(sa.select(c.span_id).where(matches, mine, ~RUNNING))
        if len(spans) > 1:
            raise several_calls(id, [each.span_id for each in spans[:100]])
        if not spans:
            raise not_found(f"there is no call {id}, or not with your key, or it still runs")
        [[span]] = spans
        row = {"thumb": THUMBS.get(thumb or ""), "comment": clean(comment), "given_us": microseconds(now())}
        try:
            with self.writing() as connection:
                connection.execute(sa.delete(feedback).where(feedback.c.span_id == span))
                connection.execute(sa.insert(feedback).values(span_id=span, **row))
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise TelemetryDown(f"the feedback could not be written: {why(error)}") from None

    # --- connections of SQLite ----------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        """A connection to the file, which is not made if it is gone."""
        assert self.file is not None
        address = f"file:{urllib.parse.quote(str(self.file.absolute()))}?mode=rw"
        db = sqlite3.connect(
            address, uri=True, timeout=PATIENCE, check_same_thread=False, isolation_level=None
        )
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")  # zeros in place of what was deleted
        db.execute("PRAGMA synchronous = NORMAL")  # survives the death of the process
        return db

    def _close_stale(self) -> tuple[int, int] | None:
        """Close pooled connections if the file was deleted or replaced since; returns its identity now."""
        found = self._file_id()
        if found != self._pooled:
            self.engine.dispose()
            self._pooled = found
        return found

    def _file_id(self) -> tuple[int, int] | None:
        """Device and inode of the file; None if it does not exist, and on Postgres."""
        try:
            found = self.file.stat() if self.file else None
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found else None


def _begin(connection: sa.Connection) -> None:
    """Begin a transaction: Python's driver would do it late, and not before a SELECT."""
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def parse(text: str) -> tuple[sa.URL, Path | None]:
    """A database URL, and its file if it is SQLite's. A text that is not a URL is a file name.

    Raises:
        UserError: it is neither SQLite nor Postgres.
    """
    try:
        url = sa.make_url(text if "://" in text or not text.strip() else f"sqlite:///{text}")
    except (sa.exc.ArgumentError, ValueError):
        raise UserError(f"--telemetry {text[:80]!r} is not a URL of a database: {ALLOWED}") from None
    kind = url.get_backend_name()
    if kind == "sqlite" and url.database and url.database != ":memory:":
        return url, Path(url.database)
    if kind not in ("postgresql", "postgres"):
        raise UserError(f"--telemetry {url.render_as_string()[:80]!r} is not supported: {ALLOWED}")
    return url.set(drivername="postgresql+psycopg"), None


def several_calls(trace_id: str, span_ids: Sequence[str]) -> UserError:
    """The error for a trace id that several calls have."""
    ids = ", ".join(span_ids)
    return UserError(f"trace {trace_id} holds {len(span_ids)} calls: name one by its span id, {ids}")


def _is_gone(owner: str) -> bool:
    """Whether the process of an OWNER has ended; False for one on another machine, which can't be checked.

    One with our own id is gone, too: we have answered nothing yet, and in containers all services have id 1.
    """
    machine, _, pid = owner.rpartition("/")
    return machine == platform.node() and (owner == OWNER or not psutil.pid_exists(int(pid)))


def why(error: BaseException) -> str:
    """The database's own words, without SQLAlchemy's statement and links."""
    return reason(getattr(error, "orig", None) or error).removeprefix("(sqlite3.OperationalError) ")

"""The database of telemetry: SQLite in a file, or Postgres, behind the same few methods.

    store = Store.open("sqlite:///telemetry.db", create=True)
    store.read(select(func.count()).select_from(calls))[0][0]

Reading opens a connection each time (SQLite: a fifth of a millisecond), so that a database which was moved,
restored or restarted is seen at once. Writing is the business of sinks.py.
"""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from shared.errors import UserError, reason
from step5_serving.errors import TelemetryDown
from step5_serving.telemetry.call import now
from step5_serving.telemetry.owner import is_gone
from step5_serving.telemetry.schema import RUNNING, VERSION, calls, meta, metadata, microseconds

ALLOWED = "use FILE, sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
LOCK = 0x5E1E6E7D  # any number: whoever makes the tables holds it, so that several workers may start at once
LONGEST_CALL = timedelta(hours=1)  # no call takes longer: one that was begun before is over
PATIENCE = 2.0  # seconds that a write waits for another one's lock


class Store:
    """An open database; `file` is its path where it is SQLite's."""

    def __init__(self, url: sa.URL, file: Path | None) -> None:
        self.url, self.file = url, file
        if file is None:
            self.engine = sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})
        else:
            self.engine = sa.create_engine("sqlite://", creator=self.connect, poolclass=NullPool)
            sa.event.listen(self.engine, "begin", _begin)

    @classmethod
    def open(cls, text: str, *, create: bool = False) -> Store:
        """Open a database by its URL, or begin one there.

        Raises:
            UserError: the URL is wrong, nothing is there, it can't be reached, or it isn't telemetry.
        """
        url, file = parse(text)
        store = cls(url, file)
        if file is not None and not create and not file.exists():
            raise UserError(f"no telemetry in {file}: `python -m step5_serving serve` writes it there")
        try:
            if create:
                store.make()
            store._check()
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise UserError(f"telemetry in {store.name} cannot be opened: {why(error)}") from None
        return store

    @property
    def name(self) -> str:
        """For messages; without a password."""
        return str(self.file) if self.file else self.url.render_as_string(hide_password=True)

    def make(self) -> None:
        """Make the tables where there are none; one process at a time."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.file, timeout=10 * PATIENCE)) as db:
                db.execute("PRAGMA journal_mode = WAL")
        with self.writing() as connection:
            if self.file is None:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            if not sa.inspect(connection).get_table_names():
                metadata.create_all(connection)
                connection.execute(sa.insert(meta).values(key="schema_version", value=str(VERSION)))

    def _check(self) -> None:
        """Whether this is telemetry, and of this program's format.

        Raises:
            UserError: it is not.
        """
        with self.engine.connect() as connection:
            tables = set(sa.inspect(connection).get_table_names())
            if not {"meta", "calls", "bodies"} <= tables:
                what = "holds other tables" if tables else "is empty"
                raise UserError(f"{self.name} {what}, not telemetry: give another place with --telemetry")
            found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
        if found != str(VERSION):
            raise UserError(
                f"telemetry in {self.name} has format {found}, this program writes {VERSION}: "
                "use the program that made it, or begin another with --telemetry"
            )

    def mark_lost(self) -> int:
        """Close the rows of calls whose process ended before they did; returns how many there were.

        They count as failed (status 500, error type `lost`). Those of another machine are lost after an hour.

        Raises:
            SQLAlchemyError: the database can't be written.
        """
        with self.writing() as connection:
            owners = (
                connection.execute(sa.select(calls.c.opened_by).where(RUNNING).distinct()).scalars().all()
            )
            gone = [each for each in owners if is_gone(each)]
            old = calls.c.started_us < microseconds(now() - LONGEST_CALL)
            lost = sa.update(calls).where(RUNNING, calls.c.opened_by.in_(gone) | old)
            values = {"http_response_status_code": 500, "error_type": "lost", "opened_by": None}
            return connection.execute(lost.values(**values)).rowcount

    def connect(self) -> sqlite3.Connection:
        """SQLite by hand, without transactions of the driver's own; the file is not made where it is gone."""
        assert self.file is not None
        address = f"file:{urllib.parse.quote(str(self.file.absolute()))}?mode=rw"
        db = sqlite3.connect(
            address, uri=True, timeout=PATIENCE, check_same_thread=False, isolation_level=None
        )
        db.execute("PRAGMA foreign_keys = ON")
        return db

    def read(self, *statements: Any) -> list[Sequence[Any]]:
        """The rows of each statement, all of the same moment.

        Raises:
            TelemetryDown: the database can't be read now.
        """
        try:
            with self.engine.connect() as connection:
                if self.file is None:
                    connection = connection.execution_options(isolation_level="REPEATABLE READ")
                return [connection.execute(each).all() for each in statements]
        except sa.exc.SQLAlchemyError as error:
            raise TelemetryDown(f"telemetry cannot be read: {why(error)}") from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes; SQLite's takes the lock at its start, so that it can't lose its turn."""
        with (
            self.engine.connect().execution_options(begin="BEGIN IMMEDIATE") as connection,
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def _begin(connection: sa.Connection) -> None:
    """The driver's own transactions are off: they begin late, and not at all before a SELECT."""
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def parse(text: str) -> tuple[sa.URL, Path | None]:
    """A URL, and the file it names where it is SQLite's. What is no URL is the name of a file.

    Raises:
        UserError: it is none of the two kinds, or the driver is not installed.
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
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise UserError("Postgres wants its driver: pip install 'psycopg[binary]'") from None
    return url.set(drivername="postgresql+psycopg"), None


def why(error: BaseException) -> str:
    """The database's own words, without SQLAlchemy's statement and links."""
    return reason(getattr(error, "orig", None) or error).removeprefix("(sqlite3.OperationalError) ")

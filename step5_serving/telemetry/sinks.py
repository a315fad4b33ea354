"""Writing a batch of calls in one transaction: by hand on SQLite, by SQLAlchemy on Postgres.

    sink = sink_of(store)
    sink.write([(call, prompt_text), ...])      # all are safe when it returns, or none is

SQLite gets its statements straight from the driver: a row costs 20 microseconds so, and 150 by SQLAlchemy,
which a service with a thousand calls a second would feel. Both check what may have happened since the last
batch (a file that was deleted, a server that was restarted) and open anew; what can't be written raises.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.errors import UserError
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.schema import (
    COLUMNS,
    RUNNING,
    bodies,
    body_row,
    call_row,
    calls,
    clean,
    meta,
    prompts,
    texts,
)
from step5_serving.telemetry.store import PATIENCE, Store, why

Batch = Sequence[tuple[Call, str | None]]  # with the text of its prompt
ROOM = "x" * 65536  # what is tried: a disk that is full still takes a few bytes
MARK_EVERY = 43_200_000_000  # microseconds: half a day


class CannotWrite(Exception):
    """What the database said."""


def text_rows(batch: Batch) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of prompts and of texts of a batch, each once.

    In the order of their hashes: two workers that write the same texts in different orders would lock each
    other out.
    """
    at = time.time_ns() // 1000
    new_prompts = {
        call.prompt_sha256: (call.prompt_sha256, call.prompt_id, call.prompt_version, clean(text), at)
        for call, text in batch
        if call.prompt_sha256 and text is not None
    }
    new_texts = {
        source["sha256"]: (source["sha256"], clean(source["text"]), at)
        for call, _ in batch
        for source in call.sources
        if source.get("sha256") and source.get("text") is not None
    }
    return sorted(new_prompts.values()), sorted(new_texts.values())


class SqliteSink:
    """One connection, used by the writer's thread alone."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.db: sqlite3.Connection | None = None
        self.file: tuple[int, int] | None = None  # device and inode of what `db` has open
        dialect = sqlite.dialect()
        self.insert_call = str(sa.insert(calls).compile(dialect=dialect, column_keys=COLUMNS))
        self.delete_opening = (
            "DELETE FROM calls WHERE span_id = ? AND trace_id = ? "
            "AND (opened_by IS NOT NULL OR error_type = 'lost')"
        )
        self.insert_body = str(sa.insert(bodies).compile(dialect=dialect))
        self.insert_prompt = str(_upsert(sqlite.insert(prompts)).compile(dialect=dialect))
        self.insert_text = str(_upsert(sqlite.insert(texts)).compile(dialect=dialect))

    def write(self, batch: Batch) -> None:
        """All or none, in one transaction of the connection that `_open` gives.

        It takes the lock at its beginning (BEGIN IMMEDIATE), then holds the prompts and texts that
        `text_rows` gives (`insert_prompt`, `insert_text`), takes out the opening rows of streams
        (`delete_opening`: span id, trace id), and of each call holds a row (`insert_call`, `call_row`) and
        its body (`insert_body`, `body_row`), which begins with the id that the database gave the row. If the
        file is another one after the commit (`_file_now`, `file`), the rows are in a file without a name:
        nothing was written.

        Raises:
            CannotWrite: disk full, locked by another, gone, a value that no database takes; with `why`. The
                connection is closed, so that nothing half done is left, and the next batch opens anew.
        """
        ### BEGIN SOLUTION 5.7: A row before the reply
        try:
            db = self._open()
            new_prompts, new_texts = text_rows(batch)
            db.execute("BEGIN IMMEDIATE")
            db.executemany(self.insert_prompt, new_prompts)
            db.executemany(self.insert_text, new_texts)
            db.executemany(self.delete_opening, [(call.span_id, call.trace_id) for call, _ in batch])
            for call, _ in batch:
                row = db.execute(self.insert_call, call_row(call)).lastrowid
                db.execute(self.insert_body, (row, *body_row(call)))
            db.execute("COMMIT")
            if self._file_now() != self.file:  # deleted meanwhile: the rows are in a file without a name
                raise FileNotFoundError(2, "the database was deleted while it was written to")
        except Exception as error:  # of the database, the disk, or a value that the driver can't take
            self.close()
            raise CannotWrite(why(error)) from None
        ### END SOLUTION

    def ping(self) -> None:
        """Raises CannotWrite where nothing could be written now."""
        try:
            db = self._open()
            for value in (ROOM, ""):
                db.execute("INSERT OR REPLACE INTO meta VALUES ('room', ?)", (value,))
            self.close()  # which moves what was tried out of the log: it must not be in the way itself
        except (sqlite3.Error, OSError, sa.exc.SQLAlchemyError, UserError) as error:
            self.close()
            raise CannotWrite(why(error)) from None

    def _open(self) -> sqlite3.Connection:
        now = self._file_now()
        if self.db is not None and now == self.file:
            return self.db
        self.close()
        if now is None:
            print(f"telemetry: {self.store.name} is gone; it is begun anew", file=sys.stderr)
            self.store.make()
            now = self._file_now()
        self.db = self.store.connect()
        self.db.execute("PRAGMA synchronous = NORMAL")  # survives the death of the process
        self.file = now
        return self.db

    def _file_now(self) -> tuple[int, int] | None:
        try:
            assert self.store.file is not None
            found = self.store.file.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def close(self) -> None:
        if self.db is not None:
            with contextlib.suppress(sqlite3.Error):
                self.db.rollback()
            with contextlib.suppress(sqlite3.Error):
                self.db.close()
        self.db = self.file = None


class PostgresSink:
    """SQLAlchemy's pool, which asks before each batch whether the server is still there."""

    def __init__(self, store: Store) -> None:
        limits = f"-c statement_timeout={int(2500 * PATIENCE)} -c lock_timeout={int(1000 * PATIENCE)}"
        arguments = {"connect_timeout": 5, "options": limits}
        self.engine = sa.create_engine(store.url, pool_pre_ping=True, pool_size=1, connect_args=arguments)
        self.insert_call = sa.insert(calls).returning(calls.c.id, sort_by_parameter_order=True)
        self.delete_opening = sa.delete(calls).where(
            RUNNING | (calls.c.error_type == "lost"),
            calls.c.span_id == sa.bindparam("span"),
            calls.c.trace_id == sa.bindparam("trace"),
        )
        self.insert_body = sa.insert(bodies)
        self.insert_prompt = _upsert(postgresql.insert(prompts))
        self.insert_text = _upsert(postgresql.insert(texts))

    def write(self, batch: Batch) -> None:
        """All or none.

        Raises:
            CannotWrite: what the server said, or that there is none.
        """
        try:
            with self.engine.begin() as connection:
                new_prompts, new_texts = text_rows(batch)
                _put(connection, self.insert_prompt, prompts, new_prompts)
                _put(connection, self.insert_text, texts, new_texts)
                opened = [{"span": call.span_id, "trace": call.trace_id} for call, _ in batch]
                connection.execute(self.delete_opening, opened)
                rows = [dict(zip(COLUMNS, call_row(call), strict=True)) for call, _ in batch]
                ids = connection.execute(self.insert_call, rows).scalars().all()
                rest = [(id, *body_row(call)) for id, (call, _) in zip(ids, batch, strict=True)]
                _put(connection, self.insert_body, bodies, rest)
        except sa.exc.SQLAlchemyError as error:
            raise CannotWrite(why(error)) from None

    def ping(self) -> None:
        """Raises CannotWrite where nothing could be written now."""
        try:
            with self.engine.begin() as connection:
                connection.execute(sa.update(meta).values(value=meta.c.value))
        except sa.exc.SQLAlchemyError as error:
            raise CannotWrite(why(error)) from None

    def close(self) -> None:
        self.engine.dispose()


def _upsert(insert: Any) -> Any:
    """A text that is there already is only marked as seen, twice a day at most.

    So `seen_us` lags behind its last use by half a day at most, and `prune` may delete what was not seen for
    a day longer than it keeps calls, without looking into any call.
    """
    is_due = insert.table.c.seen_us < insert.excluded.seen_us - sa.literal_column(str(MARK_EVERY))
    seen = {"seen_us": insert.excluded.seen_us}
    return insert.on_conflict_do_update(index_elements=["sha256"], set_=seen, where=is_due)


def _put(connection: sa.Connection, statement: Any, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        names = table.columns.keys()
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


Sink = SqliteSink | PostgresSink


def sink_of(store: Store) -> Sink:
    return SqliteSink(store) if store.file else PostgresSink(store)

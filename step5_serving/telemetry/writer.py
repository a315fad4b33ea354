"""The group commit: one thread writes everything that waits in one transaction, then wakes all who wait.

    recorder = Recorder.from_url("sqlite:///telemetry.db")
    await recorder.record(call)                   # returns when the row is safe; only then send the reply
    await recorder.close()                        # at shutdown: writes what still waits

A commit costs the same for one row as for fifty. So the thread never waits for a timer or a full batch: it
takes whatever arrived during the previous commit, and batches grow with the load. If a commit fails, those
who waited for it get TelemetryDown (503), and the next commit tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import NamedTuple

import sqlalchemy as sa

from shared.errors import UserError
from shared.personal import recognizers
from step5_serving.errors import TelemetryDown
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.schema import body_row, call_row
from step5_serving.telemetry.store import OWNER, Store, why

log = logging.getLogger(__name__)
LARGEST = 512  # rows of a transaction
LONGEST = 15.0  # seconds that a call waits for its row


class CannotWrite(Exception):
    """The database's own message."""


def write_rows(store: Store, batch: Sequence[Call]) -> None:
    """Write the rows of these calls in one transaction: all are safe when it returns, or none is.

    `store.writing` gives the transaction. In it, `store.put_call` writes what `call_row` makes of each call,
    then `store.put_body` what `body_row` makes; `exec_driver_sql` with a list runs a statement for each item.
    A row with the same span id (a stream's opening row) is replaced.

    Raises:
        CannotWrite: whatever went wrong (disk full, database locked or gone, an invalid value), as `why`
        says.
    """
    ### BEGIN SOLUTION 5.7: A row before the reply
    try:
        with store.writing() as connection:
            connection.exec_driver_sql(store.put_call, [call_row(call) for call in batch])
            connection.exec_driver_sql(store.put_body, [body_row(call) for call in batch])
    except Exception as error:  # of the database, the disk, or a value that the driver can't take
        raise CannotWrite(why(error)) from None
    ### END SOLUTION


class _Waiting(NamedTuple):
    call: Call | None  # None: only test whether the database can be written
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class Recorder:
    """Writes calls; `store` reads them (it blocks: use a thread)."""

    def __init__(self, store: Store, redact: Callable[[Call], Call] = lambda call: call) -> None:
        self.store, self.redact = store, redact
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.trouble: str | None = None  # why the last commit failed; None: it succeeded

    @classmethod
    def from_url(cls, url: str, *, redact: bool = False) -> Recorder:
        """Open a database, or make it if it is new: sqlite:///FILE or postgresql+psycopg://HOST/NAME.

        Args:
            redact: mask personal data before it is written (`Call.redacted`).

        Raises:
            UserError: the URL is wrong, or it isn't telemetry; Presidio is missing.
        """
        if redact:
            recognizers()  # loaded now (seconds), and not by the first call
        store = Store.open(url, create=True)
        try:
            lost = store.mark_lost()
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise UserError(f"telemetry in {store.name} cannot be written: {why(error)}") from None
        if lost:
            log.warning("calls that ran when their process ended: %d; their rows say `lost`", lost)
        return cls(store, Call.redacted) if redact else cls(store)

    async def record(self, call: Call | None) -> None:
        """Write one row (None: only test whether it could be written); returns after the commit.

        Never blocks the event loop. If the caller is cancelled, the row is written all the same.

        Raises:
            TelemetryDown: it could not be written (disk full, database locked or gone).
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._queue.put(_Waiting(call, loop, future))
        try:
            async with asyncio.timeout(LONGEST):
                await future
        except TimeoutError:
            raise TelemetryDown(f"the call's row was not written within {LONGEST:.0f} s") from None

    async def open(self, call: Call) -> None:
        """Write the opening row of a stream, which `record` replaces; raises what `record` raises."""
        await self.record(replace(call, opened_by=OWNER))

    async def is_foreign(self, trace_id: str, key_id: str | None) -> bool:
        """Whether a trace has a call of another key; raises TelemetryDown if that can't be read."""
        return await asyncio.to_thread(self.store.is_foreign, trace_id, key_id)

    async def ready(self) -> str | None:
        """None, or why the database can't be written; tried again after a failed commit."""
        if self.trouble is not None:
            with contextlib.suppress(TelemetryDown):
                await self.record(None)
        return f"telemetry cannot be written: {self.trouble}" if self.trouble else None

    async def close(self) -> None:
        """Write what waits, then close; nothing may be recorded after that."""
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join, LONGEST)
        self.store.close()

    # --- in the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        going = True
        while going:
            batch, going = self._take()
            if batch:
                self._write(batch)
                self._wake(batch, self.trouble)

    def _take(self) -> tuple[list[_Waiting], bool]:
        """The items that wait now, in order, at most LARGEST; and whether to continue.

        Blocks only for the first item, and takes the others that are there already. A None in the queue is
        the end: the items before it are the last batch (which may be empty), and `_run` must not continue.
        """
        ### BEGIN SOLUTION 5.7: A row before the reply
        batch: list[_Waiting] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == LARGEST:
                return batch, True
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False
        ### END SOLUTION

    def _write(self, batch: list[_Waiting]) -> None:
        """Write a batch; sets `trouble`."""
        try:
            if rows := [self.redact(each.call) for each in batch if each.call]:
                write_rows(self.store, rows)
            else:
                self.store.probe()
            self.trouble = None
        except Exception as error:  # whatever it is, the thread must continue
            self.trouble = why(error)

    @staticmethod
    def _wake(batch: list[_Waiting], problem: str | None) -> None:
        """Tell all who wait whether it worked: `_finish` in the event loop of each.

        Futures may only be set in their loop's thread, and this is another one. So there is one
        `call_soon_threadsafe` per loop, with all of its futures. A closed loop raises RuntimeError: nobody
        waits there, and the other loops are told all the same.
        """
        ### BEGIN SOLUTION 5.7: A row before the reply
        loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for each in batch:
            loops.setdefault(each.loop, []).append(each.future)
        for loop, futures in loops.items():
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits
                loop.call_soon_threadsafe(_finish, futures, problem)
        ### END SOLUTION


def _finish(futures: list[asyncio.Future[None]], problem: str | None) -> None:
    for future in futures:
        if future.done():  # cancelled, or timed out
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(TelemetryDown(f"the call's row could not be written: {problem}"))

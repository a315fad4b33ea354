"""Stand-ins for step 5: the arguments of its functions that are not plain data."""

import asyncio
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

VOCABULARY = 64  # of the model that the batcher runs
CONTEXT = 2048


@dataclass(frozen=True)
class Chunk:
    """A chunk of a document, as step 3 has them."""

    text: str
    number: int


class Caller:
    """A caller at an Admission: a coroutine without an event loop, so nothing happens between two steps."""

    future: Any = None  # that it waits for

    def __init__(self, admission: Any, method: str) -> None:
        self._coroutine = getattr(admission, method)()

    def step(self, cancel: bool) -> tuple[str, Any]:
        """Go on until it waits, or is done; with `cancel`, it is told that its task was cancelled."""
        asyncio._set_running_loop(_loop())
        call = self._coroutine
        try:
            self.future = call.throw(asyncio.CancelledError()) if cancel else call.send(None)
        except StopIteration as end:
            return "done", end.value
        finally:
            asyncio._set_running_loop(None)
        return "waits", None


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """An event loop that never runs: futures must belong to one."""
    return asyncio.new_event_loop()


def measured(keys: int) -> sa.Table:
    """A table of keys k0, k1 ..., a day and a number of milliseconds."""
    columns = [sa.Column(f"k{i}", sa.Text) for i in range(keys)]
    return sa.Table(
        "measured", sa.MetaData(), *columns, sa.Column("day", sa.Integer), sa.Column("ms", sa.Double)
    )


def since(table: sa.Table, day: int | None) -> Any:
    """The condition that a row is of this day or a later one."""
    return sa.true() if day is None else table.c.day >= day


def sql(statement: Any) -> str:
    """The statement as SQLite reads it."""
    from sqlalchemy.dialects import sqlite

    return str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))

"""Scenes of step 5 that plain calls can't make: SQL on a database, callers at a door, clocks.

    >>> buckets([(0.0, "ada"), (0.0, "ada")], per_second=1.0, burst=1.0, most=10)
    [0.0, 1.0]

Each takes what happens as plain data, lets the submission's code live through it, and returns what it saw.
Nothing is judged here. More of them: step5_rows.py (telemetry), step5_batch.py (the batcher).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

ROUNDS = 25  # of the event loop, until everybody who can go on has done so


def buckets(asks: Sequence[tuple[float, str]], *, per_second: float, burst: float, most: int) -> list[float]:
    """What `Rates.take` says to each who asks at his time, where only so many buckets are kept."""
    from step5_serving.api import rates

    now = [0.0]
    limit = rates.Rates(per_second, burst, lambda: now[0])
    said = []
    with mock.patch.object(rates, "MOST", most):
        for now[0], who in asks:
            said.append(limit.take(who))
    return said


def ranked(rows: Sequence[Sequence[Any]], groups: int, least: int | None = None) -> list[list[Any]]:
    """p50 and p95 by `percentiles`: of rows [keys..., day, value], by the first keys, from a day on.

    The rows of the answer as lists [key0, ..., p50, p95], sorted; what they are called comes first.
    """
    import sqlalchemy as sa

    from step5_serving.telemetry.summary import percentiles

    width = len(rows[0]) - 2 if rows else groups
    columns = [sa.Column(f"k{i}", sa.Text) for i in range(width)]
    table = sa.Table(
        "measured", sa.MetaData(), *columns, sa.Column("day", sa.Integer), sa.Column("ms", sa.Double)
    )
    names = [column.name for column in table.columns]
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        if rows:
            connection.execute(sa.insert(table), [dict(zip(names, row, strict=True)) for row in rows])
        where = sa.true() if least is None else table.c.day >= least
        if groups:
            statement = percentiles(table.c.ms, where, tuple(columns[:groups]))
        else:
            statement = percentiles(table.c.ms, where)
        found = connection.execute(statement)
        return [list(found.keys()), *sorted([list(row) for row in found], key=repr)]


def what_became_of(passage: str, chunks: Sequence[str]) -> str:
    """What `state_of` says of a passage and a document that has these chunks today, joined by newlines."""
    from step5_serving.evaluation.replay import _sha256, state_of

    document = [SimpleNamespace(text=text, number=number) for number, text in enumerate(chunks)]
    source = {"number": 1, "document": "a.md", "place": "a.md", "text": passage, "sha256": _sha256(passage)}

    def join(run: Sequence[Any]) -> str:
        return "\n".join(each.text for each in run)

    return state_of(source, document, join)


# --- the doors ------------------------------------------------------------------------------------------


async def doors(running: int, waiting: int, moments: Sequence[Sequence[Sequence[Any]]]) -> list[Any]:
    """What happens at the doors of an `Admission`, moment by moment.

    What is in one moment happens before anybody who waits can go on. `["come", name]`, `["go", name]` (who is
    in leaves), `["cancel", name]`, `["pass", seconds]` on the clock, `["close", why]`, `["await end", name]`
    (waits until nobody is in or waits). Each moment gives what happened in it, first who got in, in order;
    then how many run and wait.
    """
    from step5_serving.api import admission

    scene = _Doors(admission.Admission(running, waiting))
    with mock.patch.object(admission, "time", scene, create=True):
        try:
            return [await scene.moment(each) for each in moments]
        finally:
            for task in scene.tasks.values():
                task.cancel()


class _Doors:
    """Callers, and a clock that stands still; it takes the place of the module `time`."""

    def __init__(self, admission: Any) -> None:
        self.admission = admission
        self.now = 100.0
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.inside: dict[str, Any] = {}
        self.got_in: list[list[Any]] = []
        self.others: list[list[Any]] = []

    def perf_counter(self) -> float:
        return self.now

    monotonic = time = perf_counter

    async def moment(self, actions: Sequence[Sequence[Any]]) -> list[Any]:
        self.got_in, self.others = [], []
        for what, who in actions:
            if what == "come":
                self.tasks[who] = asyncio.ensure_future(self._come(who, self.admission.turn()))
            elif what == "go" and who in self.inside:
                await self.inside.pop(who).__aexit__(None, None, None)
            elif what == "cancel" and who in self.tasks:
                self.tasks[who].cancel()
            elif what == "pass":
                self.now += who
            elif what == "close":
                self.admission.close(who)
            elif what == "await end":
                self.tasks[who] = asyncio.ensure_future(self._await_end(who))
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        for task in self.tasks.values():
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error
        return [self.got_in + sorted(self.others), self.admission.running, self.admission.waiting]

    async def _come(self, who: str, turn: Any) -> None:
        from step5_serving.errors import ApiError

        try:
            seconds = await turn.__aenter__()
        except ApiError as refusal:
            self.others.append(["refused", who, refusal.status, refusal.type, refusal.retry_after])
        except asyncio.CancelledError:
            self.others.append(["cancelled", who])
        else:
            self.inside[who] = turn
            self.got_in.append(["in", who, seconds])

    async def _await_end(self, who: str) -> None:
        await self.admission.drained()
        self.others.append(["the end", who])

"""Scenes of step 5, played by the grader: it is the event loop, the queue, the model and its cache.

The submission's own functions are called one by one; all that is not theirs (who comes, when somebody is
cancelled, the next token) is decided and seen here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from queue import Empty
from typing import Any

from classroom.drivers.step5 import sql
from classroom.grading.callbacks import Log
from classroom.grading.submission import Fresh, Made, Submission
from classroom.rubrics import databases

DRIVERS = "classroom.drivers"
COLUMNS = {
    "calls": ("id", "span_id", "trace_id", "started_us", "http_route", "gen_ai_request_model"),
    "bodies": ("span_id", "question", "answer", "prompt_text", "sources"),
}


class Clock:
    """A clock that stands still until the test says otherwise."""

    def __init__(self, now: float) -> None:
        self.now = now

    def read(self) -> float:
        return self.now


def ranked(submission, rows, groups, least=None):
    """p50 and p95 by `percentiles` of rows [keys..., day, value], by the first keys, from a day on.

    The submission only writes the statement. What is in the table the grader tells its own database.
    """
    width = len(rows[0]) - 2 if rows else groups
    table = submission.make(f"{DRIVERS}.step5:measured", width)
    given = [table.part("c.ms"), submission.make(f"{DRIVERS}.step5:since", table, least)]
    keys = tuple(table.part(f"c.k{i}") for i in range(groups))
    statement = submission.make(
        "step5_serving.telemetry.summary:percentiles", *given, *([keys] if keys else [])
    )
    names = [*(f"k{i}" for i in range(width)), "day", "ms"]
    empty = dict.fromkeys(names)  # a table has its columns, though it has no rows
    filled = {"measured": [empty, *(dict(zip(names, row, strict=True)) for row in rows)]}
    got = databases.select(submission.call(f"{DRIVERS}.step5:sql", statement), filled)
    submission.agree("its rows", got, lambda: databases.select(sql(statement.reference), filled))


# --- the doors ------------------------------------------------------------------------------------------


class Doors:
    """Callers at an Admission, each a coroutine that this loop goes on with; nothing happens in between."""

    def __init__(self, submission: Submission, running: int, waiting: int, seconds: bool = False) -> None:
        self.seconds = seconds  # whether those are looked at that a refusal would name
        self.doors = submission.make("step5_serving.api.admission:Admission", running, waiting)
        self.calls: dict[str, Made] = {}
        self.waits: dict[str, Made] = {}  # for a future
        self.ready: deque[str] = deque()
        self.cancelled: set[str] = set()
        self.inside: list[str] = []
        self.ends: set[str] = set()

    def moment(self, *actions: tuple[Any, ...]) -> None:
        """These happen before anybody who waits can go on; then all go on who can.

        ("come", name), ("go", name, seconds): who is inside leaves, ("cancel", name), ("close", why),
        ("end", name): comes to wait until nobody is in or waits.
        """
        for what, *given in actions:
            getattr(self, f"_{what}")(*given)
            self._look()
        while self.ready:
            self._go_on(self.ready.popleft())
            self._look()
        self.doors.check_get("running")
        self.doors.check_get("waiting")
        if self.seconds:
            self.doors.check("retry_after")

    def _come(self, name: str, method: str = "_enter") -> None:
        self.calls[name] = self.doors.keep(method)
        self.ready.append(name)

    def _end(self, name: str) -> None:
        self.ends.add(name)
        self._come(name, "drained")

    def _go(self, name: str, seconds: float) -> None:
        if name in self.inside:
            self.inside.remove(name)
            self.doors.check("_leave", seconds)

    def _cancel(self, name: str) -> None:
        if name in self.waits and name not in self.ready:
            self.waits[name].check("cancel")
        if name in self.waits or name in self.ready:
            self.cancelled.add(name)

    def _close(self, why: str) -> None:
        self.doors.check("close", why)

    def _look(self) -> None:
        """Who waited for something that is there now goes on, in turn."""
        for name, future in self.waits.items():
            if name not in self.ready and future.check("done"):
                self.ready.append(name)

    def _go_on(self, name: str) -> None:
        self.waits.pop(name, None)
        cancel = name in self.cancelled
        self.cancelled.discard(name)
        found = self.calls[name].check_step(cancel)
        if isinstance(found, Made):
            self.waits[name] = found
        elif found is None and name not in self.ends:
            self.inside.append(name)

    def come(self, *names: str) -> None:
        """All of these at the same moment."""
        self.moment(*(("come", name) for name in names))

    def leave(self, names: Sequence[str], seconds: Sequence[float]) -> None:
        """One after the other, whoever of these is inside."""
        for name, each in zip(names, seconds, strict=True):
            self.moment(("go", name, each))


# --- telemetry ------------------------------------------------------------------------------------------


class Books:
    """A database, whose files are looked at after each batch."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.database = submission.make(f"{DRIVERS}.step5_rows:Database")
        self.store = self.database.part("store")
        self.before: list[Any] = [{}, {}]  # the submission's files, and the reference's

    def write(self, given: Sequence[Mapping[str, Any]], vanishes: bool = False) -> None:
        """Write a batch: how that ends, what is there then, and in how many transactions it came there."""
        make = f"{DRIVERS}.step5_rows:calls"
        batch = self.submission.make(make, list(given), *([self.database] if vanishes else []))
        self.submission.check("step5_serving.telemetry.writer:write_rows", self.store, batch)
        files = self.database.call("files")
        self.submission.agree("what the file holds", self._seen(files, 0), self._of_reference)

    def _of_reference(self) -> Any:
        return self._seen(self.database.reference.files(), 1)

    def _seen(self, files: Any, side: int) -> list[Any]:
        found = databases.tables(files, COLUMNS)
        before, self.before[side] = self.before[side], files
        return [found, databases.commits(before, files)]


def takes(submission: Submission, items: Sequence[str | None]) -> None:
    """All batches that `_take` makes of a queue: what they hold, and whether it goes on.

    Who waits for what has not come is written down.
    """
    log, sides = Log(), list[deque[str | None]]()

    def queue() -> Any:
        left = deque(items)
        sides.append(left)

        def take(waits: bool, for_ever: bool) -> str | None:
            if left:
                return left.popleft()
            if waits:
                log.add("waits for what has not come")
            if waits and for_ever:
                raise RuntimeError("it waits for a call that never comes")
            raise Empty

        return take

    recorder = submission.make(
        f"{DRIVERS}.step5_rows:recorder", Fresh(queue), Fresh(lambda: sides[-1].__len__)
    )
    going = True
    while going and sides[0]:
        before = len(sides[0])
        _, going = recorder.check("_take", asked=log)
        assert len(sides[0]) < before, "nothing was taken"


class Waiters:
    """Who waits for a row, each in an event loop; what they are told is written down."""

    def __init__(self, submission: Submission, places: Sequence[int], closed: Sequence[int] = ()) -> None:
        self.submission, self.log = submission, Log(ordered=False)
        self.gone: set[int] = set()  # cancelled

        def called(number: int) -> None:
            if number in closed:
                raise RuntimeError("Event loop is closed")

        def told(number: int, what: str) -> None:
            """Is written down."""

        driver, hears = f"{DRIVERS}.step5_rows", self.log.hears
        heard = hears("loop", called)
        self.loops = [submission.make(f"{driver}:Loop", number, heard) for number in range(max(places) + 1)]
        asks = self.is_gone, hears("told", told)
        self.batch = submission.make(f"{driver}:waiting", self.loops, list(places), *asks)

    def is_gone(self, number: int) -> bool:
        """Whether a waiter was cancelled."""
        return number in self.gone

    def wake(self, problem: str | None) -> None:
        """Wake all, then run one loop after the other."""
        wake = "step5_serving.telemetry.writer:Recorder._wake"
        self.submission.check(wake, self.batch, problem, asked=self.log)
        for loop in self.loops:
            loop.check("run", asked=self.log)

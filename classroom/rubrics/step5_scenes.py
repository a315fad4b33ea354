"""Scenes of step 5: the grader plays callers, event loops, queues, the reader of a database and the model.

The submission's functions are called one by one; everything else (who arrives, who is cancelled, what is in
the files) is decided and seen here.
"""

import warnings
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from queue import Empty
from typing import Any

from classroom.drivers.step5 import CONTEXT, VOCABULARY, sql
from classroom.grading.callbacks import Log
from classroom.grading.draw import Draw
from classroom.grading.submission import Fresh, Made, Submission
from classroom.rubrics import step5_databases as databases

DRIVERS = "classroom.drivers"
BATCH = f"{DRIVERS}.step5_batch"
MOST_IDS = 500_000  # that are looked at in a scene of the batcher
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


def check_percentiles(submission, rows, groups, least=None):
    """p50 and p95 by `percentiles` of rows [keys..., day, value], by the first keys, from a day on.

    The submission only writes the statement; the grader runs it on its own database.
    """
    width = len(rows[0]) - 2 if rows else groups
    table = submission.make(f"{DRIVERS}.step5:measured", width)
    given = [table.part("c.ms"), submission.make(f"{DRIVERS}.step5:since", table, least)]
    if groups:
        given.append(tuple(table.part(f"c.k{i}") for i in range(groups)))
    statement = submission.make("step5_serving.telemetry.summary:percentiles", *given)
    measured = "measured", [*(f"k{i}" for i in range(width)), "day", "ms"], rows
    got = databases.select(submission.call(f"{DRIVERS}.step5:sql", statement), *measured)
    submission.agree("its rows", got, lambda: databases.select(sql(statement.reference), *measured))


class Callers:
    """Callers at an Admission: each is a coroutine, and this class is their event loop."""

    def __init__(self, submission: Submission, running: int, waiting: int, seconds: bool = False) -> None:
        # Of a test that ends early, some never come in.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        self.submission = submission
        self.seconds = seconds  # compare those that a refusal would name, too
        self.admission = submission.make("step5_serving.api.admission:Admission", running, waiting)
        self.calls: dict[str, Made] = {}
        self.waiting: list[str] = []  # for a future
        self.ready: deque[str] = deque()
        self.cancelled: set[str] = set()
        self.inside: list[str] = []
        self.ends: set[str] = set()

    def moment(self, *actions: tuple[Any, ...]) -> None:
        """Do these in one go, then let every caller run who can.

        ("come", name), ("go", name, seconds): a caller inside leaves, ("cancel", name), ("end", name):
        a caller waits until nobody is inside or waits.
        """
        for what, *given in actions:
            getattr(self, f"_{what}")(*given)
            self._look()
        while self.ready:
            self._go_on(self.ready.popleft())
            self._look()
        self.admission.check_get("running")
        self.admission.check_get("waiting")
        if self.seconds:
            self.admission.check("retry_after")

    def _come(self, name: str, method: str = "_enter") -> None:
        self.calls[name] = self.submission.make(f"{DRIVERS}.step5:Caller", self.admission, method)
        self.ready.append(name)

    def _end(self, name: str) -> None:
        self.ends.add(name)
        self._come(name, "drained")

    def _go(self, name: str, seconds: float) -> None:
        if name in self.inside:
            self.inside.remove(name)
            self.admission.check("_leave", seconds)

    def _cancel(self, name: str) -> None:
        if name in self.waiting and name not in self.ready:
            self.calls[name].check("future.cancel")
        if name in self.waiting or name in self.ready:
            self.cancelled.add(name)

    def _look(self) -> None:
        """Those whose future is done may go on, in order."""
        for name in self.waiting:
            if name not in self.ready and self.calls[name].check("future.done"):
                self.ready.append(name)

    def _go_on(self, name: str) -> None:
        if name in self.waiting:
            self.waiting.remove(name)
        cancel = name in self.cancelled
        self.cancelled.discard(name)
        match self.calls[name].check("step", cancel):
            case ("waits", _):
                self.waiting.append(name)
            case ("done", _) if name not in self.ends:
                self.inside.append(name)

    def come(self, *names: str) -> None:
        """All of these at the same moment."""
        self.moment(*(("come", name) for name in names))

    def leave(self, names: Sequence[str], seconds: Sequence[float]) -> None:
        """Those of these who are inside leave, one after the other."""
        for name, each in zip(names, seconds, strict=True):
            self.moment(("go", name, each))


class WrittenBatches:
    """A database, whose file is looked at after each batch."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.database = submission.make(f"{DRIVERS}.step5_rows:Database")
        self.store = self.database.part("store")

    def write(self, given: Sequence[Mapping[str, Any]]) -> None:
        """Write a batch; compare how that ends, and the rows in the file."""
        batch = self.submission.make(f"{DRIVERS}.step5_rows:calls", list(given))
        self.submission.check("step5_serving.telemetry.writer:write_rows", self.store, batch)
        content, reference = self.database.call("content"), self.database.reference
        self.submission.agree(
            "what the file holds", self._rows(content), lambda: self._rows(reference.content())
        )

    @staticmethod
    def _rows(content: Any) -> Any:
        return databases.tables(content, COLUMNS) if type(content) is bytes else content


def check_takes(submission: Submission, items: Sequence[str | None]) -> None:
    """Compare all batches that `_take` makes of a queue, and whether it goes on after each.

    Waiting on an empty queue is logged.
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


def _number(value: Any, end: int) -> int:
    """The value, if it is a number from 0 up to `end`."""
    if type(value) is not int or not 0 <= value < end:
        raise ValueError("not a number that this can be")
    return value


class Model:
    """The model: the next token follows, secretly, from all ids that the cache holds of a request.

    It logs what is computed and what each request is told. The submission has one, the reference another.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.looked_at = seed, 0
        self.prefills, self.forwards, self.texts = Log(), Log(), Log()

    def run(self, prefill: list[Any], decode: list[Any], before: list[Any]) -> list[int]:
        """A forward pass for spans [number, start, ids]; returns the token after each id of `decode`.

        before: the ids that the cache holds before each span of `decode`.
        """
        for number, start, ids in map(self._span, prefill):
            entries = self.prefills.entries
            if entries and entries[-1][0] == number and entries[-1][1] + len(entries[-1][2]) == start:
                entries[-1][2].extend(ids)  # it goes on where it stopped
            else:
                self.prefills.add(number, start, ids)
        tokens, forward = list[int](), list[list[int]]()
        for (number, start, ids), held in zip(map(self._span, decode), before, strict=True):
            known = [*held[:start], *ids]
            for place, id in enumerate(ids, start):
                self._look(place)
                forward.append([number, place, id])
                tokens.append(zlib.crc32(repr((self.seed, known[: place + 1])).encode()) % VOCABULARY)
        if forward:
            self.forwards.add(*sorted(forward))
        return tokens

    def hear(self, number: Any, what: Any) -> None:
        """A request is told tokens, or how its text ended."""
        if type(what) is list:
            self._look(len(what))
            what = [_number(each, VOCABULARY) for each in what]
        elif type(what) is not str or len(what) > 100:
            raise ValueError("not what a request is told")
        self.texts.add(_number(number, CONTEXT), what)

    def seen(self) -> list[Any]:
        """What was computed since the last look, and what each request was told."""
        told: dict[int, list[Any]] = {}
        for number, what in self.texts.entries:
            told.setdefault(number, []).extend(what if isinstance(what, list) else [what])
        seen = [self.prefills.entries, self.forwards.entries, told]
        self.prefills, self.forwards, self.texts = Log(), Log(), Log()
        return seen

    def _look(self, n: int) -> None:
        """Count the ids that are looked at, which takes time and memory.

        Raises:
            RuntimeError: there are too many.
        """
        self.looked_at += n
        if self.looked_at > MOST_IDS:
            raise RuntimeError("asked too often")

    def _span(self, span: list[Any]) -> tuple[int, int, list[int]]:
        number, start, ids = span
        known = [_number(each, VOCABULARY) for each in ids]
        if not known or _number(start, CONTEXT) + len(known) > CONTEXT:
            raise ValueError("a span of no ids, or beyond the context")
        self._look(len(known))
        return _number(number, CONTEXT), start, known


class Batcher:
    """An engine's core whose steps the grader takes. Requests are numbered from 1 as they arrive."""

    def __init__(self, submission: Submission, draw: Draw, rows: int, chunk: int) -> None:
        self.submission, seed = submission, draw.getrandbits(60)
        self.models = [Model(seed), Model(seed)]  # the submission's, and the reference's
        asks = [iter([each.run for each in self.models]), iter([each.hear for each in self.models])]
        self.core = submission.make(f"{BATCH}:core", rows, chunk, *(Fresh(each.__next__) for each in asks))
        self.requests: list[Made] = []

    def request(self, prompt: list[int], limit: int, ends: Sequence[int] = (), guided: bool = False) -> Made:
        """A request that can be added."""
        given = len(self.requests) + 1, prompt, limit, list(ends), guided
        self.requests.append(self.submission.make(f"{BATCH}:sequence", self.core, *given))
        return self.requests[-1]

    def sit(self, prompt: list[int], computed: int, limit: int = 8, **more: Any) -> None:
        """A request that is already running, with this many of its ids computed."""
        slot = len(self.requests)
        self.submission.check(f"{BATCH}:sit", self.core, self.request(prompt, limit, **more), slot, computed)

    def step(self) -> None:
        """Take a step; compare what it computes and what each request is told."""
        self.core.check("step")
        self.submission.agree("what it computed", self.models[0].seen(), lambda: self.models[1].seen())

    def read(self) -> None:
        """Take a step; compare only what it reads of the prompts, and its `num_computed`."""
        self.core.check("step")
        self.submission.agree("what it read", self.models[0].seen()[0], lambda: self.models[1].seen()[0])
        self.check("num_computed")

    def check(self, name: str) -> None:
        """Compare a number of each request."""
        for each in self.requests:
            each.check_get(name)

    def play(
        self, arrivals: Sequence[Sequence[Sequence[Any]]], aborts: Mapping[int, Sequence[int]] | None = None
    ) -> None:
        """Take steps until no request is left. Before step n the requests of arrivals[n] are added, and those
        of aborts[n], by number, are aborted."""
        step = 0
        while step < len(arrivals) or self._there("running") or self._there("waiting"):
            for each in arrivals[step] if step < len(arrivals) else ():
                self.core.check("add", self.request(*each))
            for number in (aborts or {}).get(step, ()):
                self.requests[number - 1].check("__setattr__", "aborted", True)
            self.step()
            step += 1

    def _there(self, where: str) -> int:
        return self.core.check(f"scheduler.{where}.__len__")

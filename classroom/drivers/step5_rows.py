"""Scenes of step 5's telemetry: a database in a folder of its own, calls that no database takes, event loops.

    >>> batches([[{"question": "When?", "prompt": "Answer.", "passages": ["In May."]}]])
    [['written', 1, [['When?', 'When?']], ['Answer.'], ['In May.']]]

A call is plain data here: its question, which is unique, its prompt's text (or None), its passages' texts,
and perhaps `"broken": True`: then it has a value that no database takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import sqlite3
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty
from typing import Any
from unittest import mock

from step5_serving.telemetry import writer
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.errors import TelemetryDown
from step5_serving.telemetry.sinks import CannotWrite, SqliteSink
from step5_serving.telemetry.store import Store

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
Made = Mapping[str, Any]


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _call(made: Made) -> Any:
    prompt = made.get("prompt")
    known: dict[str, Any] = {"model": object() if made.get("broken") else "small"}
    if prompt:
        known |= {"prompt_id": "answer", "prompt_version": 1, "prompt_sha256": _sha(prompt)}
    sources = [
        {"number": n, "document": "a.md", "place": "a.md", "text": text, "chunk": n, "sha256": _sha(text)}
        for n, text in enumerate(made.get("passages", ()), 1)
    ]
    return Call(
        "query",
        200,
        trace_id=_sha(made["question"])[:32],
        started_at=NOON,
        question=made["question"],
        answer=made["question"],
        sources=sources,
        **known,
    )


@contextlib.contextmanager
def _database() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rows", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "telemetry.db"


def _rows(file: Path) -> list[Any]:
    """What another connection finds: each call's question and its body's, prompts, passages."""
    with contextlib.closing(sqlite3.connect(file)) as db:
        pairs = db.execute(
            "SELECT trace_id, question FROM calls LEFT JOIN bodies ON call_id = id ORDER BY id"
        ).fetchall()
        bodies = [question for (question,) in db.execute("SELECT question FROM bodies")]
        names = {_sha(question)[:32]: question for question in bodies}
        return [
            [[names.get(trace, "no body"), question] for trace, question in pairs],
            sorted(text for (text,) in db.execute("SELECT text FROM prompts")),
            sorted(text for (text,) in db.execute("SELECT text FROM texts")),
        ]


# --- one transaction ------------------------------------------------------------------------------------


def batches(given: Sequence[Sequence[Made]], vanishes: int | None = None) -> list[list[Any]]:
    """Write batches one after the other with SqliteSink; after each: how it ended, commits, what is there.

    In the middle of the batch number `vanishes` somebody deletes the file.
    """
    with _database() as file, contextlib.redirect_stderr(io.StringIO()):
        sink = SqliteSink(Store.open(f"sqlite:///{file}", create=True), "normal")
        told = []
        for number, batch in enumerate(given):
            heard: list[str] = []

            def hear(statement: str, number: int = number, heard: list[str] = heard) -> None:
                heard.append(statement.strip().upper())
                if number == vanishes and heard[-1].startswith("INSERT INTO BODIES"):
                    for each in file.parent.glob("telemetry.db*"):
                        each.unlink()

            sink._open().set_trace_callback(hear)
            try:
                sink.write([(_call(made), made.get("prompt")) for made in batch])
                ended = "written"
            except CannotWrite:
                ended = "CannotWrite"
            commits = sum(each.startswith(("COMMIT", "END")) for each in heard)
            told.append([ended, commits, *(_rows(file) if file.exists() else ["no file"])])
        sink.close()
        return told


# --- the writer's thread --------------------------------------------------------------------------------


class _Queue:
    """A queue for one thread: where that thread would wait, it notes so, and finds nothing."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = deque(items)
        self.waited = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self.items:
            return self.items.popleft()
        self.waited = self.waited or (block and timeout != 0)
        if block and timeout is None:
            raise RuntimeError("waits for a call that never comes")
        raise Empty

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def empty(self) -> bool:
        return not self.items

    def qsize(self) -> int:
        return len(self.items)


def takes(questions: Sequence[str | None], largest: int) -> list[list[Any]]:
    """The batches that `_take` makes of a queue (None: its end), each time whether it goes on and waited."""
    recorder: Any = writer.Recorder(None, None)  # type: ignore[arg-type]
    waiting = [each and writer._Waiting(_call({"question": each}), None, None, None) for each in questions]  # type: ignore[arg-type]
    recorder._queue = queue = _Queue(waiting)
    told, going = [], True
    with mock.patch.object(writer, "LARGEST", largest):
        while queue.items and going:
            batch, going = recorder._take()
            told.append([[each.call.question for each in batch], going, queue.waited])
    return told


class _Loop:
    """An event loop that runs what it was given when it is told to; a closed one raises."""

    def __init__(self, closed: bool) -> None:
        self.closed = closed
        self.given: list[Callable[[], Any]] = []
        self.runs = False

    def call_soon_threadsafe(self, call: Callable[..., Any], *args: Any, context: Any = None) -> None:  # noqa: ARG002
        if self.closed:
            raise RuntimeError("Event loop is closed")
        self.given.append(lambda: call(*args))


class _Future:
    """A future that notes what it was told, and whether its own loop did."""

    def __init__(self, loop: _Loop, state: str) -> None:
        self.loop, self.state = loop, state

    def get_loop(self) -> _Loop:
        return self.loop

    def done(self) -> bool:
        return self.state != "waits"

    def cancelled(self) -> bool:
        return self.state == "cancelled"

    def _set(self, state: str) -> None:
        if self.done():
            state = f"{self.state}, then {state}"
        self.state = state if self.loop.runs else f"{state}, in a foreign thread"

    def set_result(self, result: Any) -> None:
        self._set(f"told {result}")

    def set_exception(self, error: Any) -> None:
        self._set(f"told {type(error).__name__}")


def woken(
    waiters: Sequence[int], problem: str | None, closed: Sequence[int] = (), cancelled: Sequence[int] = ()
) -> list[Any]:
    """`_wake` tells waiters, each by the number of his loop: how often each loop was called; what they heard.

    Args:
        closed: numbers of loops.
        cancelled: of waiters, by their place.
    """
    loops = [_Loop(number in closed) for number in range(max(waiters) + 1)]
    futures = [
        _Future(loops[loop], "cancelled" if place in cancelled else "waits")
        for place, loop in enumerate(waiters)
    ]
    batch: Any = [writer._Waiting(None, None, each.loop, each) for each in futures]  # type: ignore[arg-type]
    writer.Recorder._wake(batch, problem)
    for loop in loops:
        loop.runs = True
        for call in loop.given:
            call()
    return [[len(loop.given) for loop in loops], [each.state for each in futures]]


async def recorded(groups: Sequence[Sequence[Made]]) -> list[Any]:
    """Groups of calls through a whole Recorder: while the first call of a group is written, the others come.

    For each group what its callers heard (and whether their row was there then), and how many rows each of
    its transactions had; at the end what is there.
    """
    with _database() as file:
        recorder = writer.Recorder.from_url(f"sqlite:///{file}")
        scene = _Recording(recorder, file)
        try:
            told = [await scene.group(each) for each in groups]
        finally:
            scene.others_are_here.set()
            with mock.patch.object(writer, "LONGEST", 0.2):  # all is told: a thread that never ends may stay
                await recorder.close()
        return [*told, _rows(file)]


class _Recording:
    """Holds the writer's thread at its first transaction of a group, and hears when that thread dies."""

    def __init__(self, recorder: Any, file: Path) -> None:
        self.recorder, self.file = recorder, file
        self.sizes: list[int] = []
        self.others_are_here = threading.Event()
        self.writes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.died: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._write, recorder.sink.write = recorder.sink.write, self._held
        self._run, recorder._run = recorder._run, self._heard

    def _held(self, batch: Any) -> None:
        self.sizes.append(len(batch))
        if len(self.sizes) == 1:
            self._tell(self.writes, None)
            self.others_are_here.wait()
        self._write(batch)

    def _heard(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self._tell(self.died, error)

    def _tell(self, future: asyncio.Future[Any], what: Any) -> None:
        future.get_loop().call_soon_threadsafe(lambda: future.done() or future.set_result(what))

    async def group(self, calls: Sequence[Made]) -> list[Any]:
        self.sizes, self.writes = [], asyncio.get_running_loop().create_future()
        self.others_are_here.clear()
        tasks = [asyncio.ensure_future(self._record(calls[0]))]
        await self._or_death(self.writes)
        tasks += [asyncio.ensure_future(self._record(each)) for each in calls[1:]]
        while self.recorder.waiting < len(calls) - 1:
            await asyncio.sleep(0)
        self.others_are_here.set()
        heard = asyncio.gather(*tasks)
        await self._or_death(heard)
        return [heard.result(), self.sizes]

    async def _or_death(self, future: asyncio.Future[Any]) -> None:
        # Now and then the loop wakes up: it does not hear of a future that was set in another thread.
        while not (future.done() or self.died.done()):
            await asyncio.wait({future, self.died}, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
        if self.died.done():
            raise self.died.result()

    async def _record(self, made: Made) -> list[Any]:
        heard = "written"
        try:
            await self.recorder.record(_call(made), made.get("prompt"))
        except TelemetryDown:
            heard = "TelemetryDown"
        return [heard, [made["question"]] * 2 in _rows(self.file)[0]]

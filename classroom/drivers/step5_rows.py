"""Stand-ins for the telemetry of step 5: a database in a folder, the grader's queue, event loops."""

import asyncio
import contextlib
import hashlib
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from step5_serving.telemetry import writer
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.store import Store

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
Ask = Callable[..., Any]


class Database:
    """An empty database in a folder. The grader reads its file itself: it is one, without a log."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rows", ignore_cleanup_errors=True)
        self._file = Path(self._folder.name, "telemetry.db")
        self.store = Store.open(f"sqlite:///{self._file}", create=True)
        self.store.close()
        with contextlib.closing(sqlite3.connect(self._file)) as db:
            db.execute("PRAGMA journal_mode = DELETE")

    def vanish(self) -> None:
        """It is deleted while the next transaction ends."""
        sa.event.listen(self.store.engine, "commit", lambda _connection: self._file.unlink(), once=True)

    def content(self) -> bytes | None:
        """The file's contents, if it is there."""
        return self._file.read_bytes() if self._file.exists() else None


def calls(given: Sequence[Mapping[str, Any]]) -> list[Call]:
    """Calls, each from its question, prompt (or None) and passages; its field `broken` can't be written."""
    return [_call(each) for each in given]


def _call(given: Mapping[str, Any]) -> Call:
    prompt = given["prompt"]
    known: dict[str, Any] = {"model": "small"}
    if prompt:
        known |= {"prompt_id": "answer", "prompt_version": 1, "prompt_text": prompt}
    sources = [
        {"number": n, "document": "a.md", "place": "a.md", "text": text, "chunk": n, "sha256": _sha(text)}
        for n, text in enumerate(given["passages"], 1)
    ]
    question = given["question"]
    digits = _sha(question)
    whole: dict[str, Any] = {"trace_id": digits[:32], "span_id": digits[:16], "started_at": NOON}
    whole |= {"question": question, "answer": question[::-1]}
    if field := given.get("broken"):
        known[field] = object()
    return Call("query", 200, sources=sources, **(whole | known))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Queue:
    """The grader's queue: `take(waits, for_ever)` gives the next item, or raises `Empty`."""

    def __init__(self, take: Ask, size: Ask) -> None:
        self._take, self._size = take, size

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return self._take(bool(block) and timeout != 0, timeout is None)

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def empty(self) -> bool:
        return not self._size()

    def qsize(self) -> int:
        return int(self._size())


def recorder(take: Ask, size: Ask) -> Any:
    """A Recorder without a database, on the grader's queue."""
    made: Any = writer.Recorder(None)  # type: ignore[arg-type]
    made._queue = Queue(take, size)
    return made


class Loop(asyncio.SelectorEventLoop):
    """An event loop that counts what it is given from other threads."""

    given = 0

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> asyncio.Handle:
        handle = super().call_soon_threadsafe(*args, **kwargs)
        self.given += 1
        return handle


def woken(places: Sequence[int], problem: str | None, closed: Sequence[int], cancelled: Sequence[int]) -> Any:
    """How often `_wake` calls each loop, and what those who wait are told: before their loops run, and after.

    Each waits in the loop of its place. Some loops are closed, and some who wait are cancelled, by number.
    """
    loops = [Loop() for _ in range(max(places) + 1)]
    futures = [loops[place].create_future() for place in places]
    for number in cancelled:
        futures[number].cancel()
    for number in closed:
        loops[number].close()
    waiting = zip((loops[place] for place in places), futures, strict=True)
    writer.Recorder._wake([writer._Waiting(None, *each) for each in waiting], problem)
    before = [_told(future) for future in futures]
    for loop in loops:
        if not loop.is_closed():
            loop.call_soon(loop.stop)
            loop.run_forever()
            loop.close()
    return [loop.given for loop in loops], before, [_told(future) for future in futures]


def _told(future: asyncio.Future[None]) -> str:
    if not future.done() or future.cancelled():
        return "nothing"
    error = future.exception()
    return f"{type(error).__name__}: {error}" if error else "written"

"""Stand-ins for the telemetry of step 5: a database in a folder, a queue and event loops of the grader's."""

import hashlib
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
    """An empty database in a folder. The grader reads its files itself."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rows", ignore_cleanup_errors=True)
        self._file = Path(self._folder.name, "telemetry.db")
        self.store = Store.open(f"sqlite:///{self._file}", create=True)

    def vanish(self) -> None:
        """It is deleted while the next transaction ends."""
        sa.event.listen(self.store.engine, "commit", lambda _connection: self._file.unlink(), once=True)

    def files(self) -> dict[str, bytes]:
        """The contents of its files, by name."""
        return {path.name: path.read_bytes() for path in sorted(self._file.parent.glob("*.db*"))}


def calls(given: Sequence[Mapping[str, Any]]) -> list[Call]:
    """Calls, each from its question, prompt (or None) and passages; a `broken` one cannot be written."""
    return [_call(each) for each in given]


def _call(given: Mapping[str, Any]) -> Call:
    prompt = given["prompt"]
    known: dict[str, Any] = {"model": object() if given.get("broken") else "small"}
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
    return Call("query", 200, sources=sources, **whole, **known)


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


class Loop:
    """An event loop of the grader's: it logs each call, and runs them when told."""

    def __init__(self, number: int, called: Ask) -> None:
        self._number, self._called = number, called
        self._given: list[Callable[[], Any]] = []

    def call_soon_threadsafe(self, call: Ask, *args: Any, context: Any = None) -> None:  # noqa: ARG002
        self._called(self._number)
        self._given.append(lambda: call(*args))

    def is_closed(self) -> bool:
        return False  # not before `call_soon_threadsafe` is called

    def run(self) -> None:
        """Make the calls."""
        given, self._given = self._given, []
        for call in given:
            call()


class Future:
    """A future of the grader's: `told` gets its number and result."""

    def __init__(self, number: int, loop: Loop, cancelled: bool, told: Ask) -> None:
        self._number, self._loop, self._cancelled, self._told = number, loop, cancelled, told

    def get_loop(self) -> Loop:
        return self._loop

    def done(self) -> bool:
        return self._cancelled

    cancelled = done

    def set_result(self, _result: Any) -> None:
        self._told([self._number, "written"])

    def set_exception(self, error: BaseException) -> None:
        self._told([self._number, f"{type(error).__name__}: {error}"])


def waiting(loops: Sequence[Loop], places: Sequence[int], cancelled: Sequence[int], told: Ask) -> list[Any]:
    """Waiters, each given by the place of its loop; some of them are cancelled, by number."""
    made: Any = writer._Waiting
    return [
        made(None, loops[place], Future(number, loops[place], number in cancelled, told))
        for number, place in enumerate(places)
    ]

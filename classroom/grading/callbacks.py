"""Functions of a test that a submission may call: they run in the grader, and their answers are secret.

    asked = Log()
    job = asked.hears("job", lambda n: numbers[n])        writes down each call, of both sides
    submission.check("step9.jobs:run", job, asked=asked)  results *and* calls must be the reference's

    meeting = Meeting(["a", "b"])                         no call is answered until all have come
    submission.check("step2_tools.agent.loop:in_parallel", meeting.jobs, asked=meeting.asked)

Such calls are all that the grader sees of what a submission does: the next one needs the answer to the one
before, which nobody can know without having asked.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any

from classroom.protocol import wire

PATIENCE = 5.0  # seconds that a meeting waits for the calls that have not come
PAUSE = 0.02  # seconds between two answers of a meeting, so that their order can be seen
POLL = 0.002
MOST_ENTRIES = 20_000  # of a log
ALONE = "the others have not asked"


class WorkerFailure(Exception):
    """The submission's process died, hung (`timed_out`), or sent an invalid reply; the text says which."""

    def __init__(self, why: str, timed_out: bool = False) -> None:
        super().__init__(why)
        self.timed_out = timed_out


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a function of a test: the submission gets a KeyboardInterrupt, and the grader goes on."""


@dataclass
class Later:
    """An answer that is held back until it is `ready`; after PATIENCE it is a TimeoutError instead."""

    ready: Callable[[], bool]
    value: Any
    until: float = field(default_factory=lambda: time.monotonic() + PATIENCE)

    def late(self) -> bool:
        return time.monotonic() > self.until

    def wait(self) -> Any:
        """Wait for the answer: for a caller in this process, in a thread of its own."""
        while not self.ready():
            if self.late():
                raise TimeoutError(ALONE)
            time.sleep(POLL)
        return self.value


def of_grader(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, if a submission may call it.

    Raises:
        TypeError: it has defaults, which a submission could overwrite.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        raise TypeError(f"{function} has no signature, so its parameters are unknown") from None
    if any(each.default is not each.empty or each.kind is each.VAR_KEYWORD for each in parameters):
        raise TypeError(f"{function} has defaults, which a submission could overwrite")
    return function


def here(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function for callers in this process: it waits for an answer that is held back."""
    of_grader(function)

    @wraps(function)
    def ask(*args: Any, **kwargs: Any) -> Any:
        got = function(*args, **kwargs)
        return got.wait() if isinstance(got, Later) else got

    return ask


@dataclass
class Log:
    """The calls of functions, by both sides. Not `ordered`: their order between two checks doesn't count."""

    entries: list[list[Any]] = field(default_factory=list)
    ordered: bool = True

    def since(self, place: int) -> list[list[Any]]:
        """The entries from a place on."""
        entries = self.entries[place:]
        return entries if self.ordered else sorted(entries, key=repr)

    def add(self, *entry: Any) -> list[Any]:
        """Add an entry.

        Raises:
            RuntimeError: the log is full.
        """
        if len(self.entries) >= MOST_ENTRIES:
            raise RuntimeError("asked too often")
        self.entries.append([*entry])
        return self.entries[-1]

    def hears(self, name: str, function: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """The function, logging its calls under this name; by default one that takes an argument."""
        function = function or (lambda _what: None)
        signature = inspect.signature(of_grader(function))

        def ask(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs).args
            self.add(name, *map(wire.neutral, given))
            return function(*given)

        ask.__signature__ = signature  # type: ignore[attr-defined]
        ask.__name__ = name
        return ask


@dataclass
class Functions:
    """The functions that a submission was given, by number; a number is never used twice."""

    given: dict[int, Callable[..., Any]] = field(default_factory=dict)
    passed: int = 0

    def add(self, function: Callable[..., Any]) -> int:
        """Give a function to the submission; returns its number."""
        self.passed += 1
        self.given[self.passed] = of_grader(function)
        return self.passed

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | Later:
        """Call a function; returns its answer as it travels.

        Raises:
            WorkerFailure: the request is invalid.
            Unsendable: the answer can't be sent.
        """
        number = request["callback"]
        if type(number) is not int or number not in self.given:
            raise WorkerFailure("it called a function that it was not given")
        try:
            args = [wire.decode(each) for each in request["args"]]
            kwargs = {str(name): wire.decode(each) for name, each in request["kwargs"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise WorkerFailure("it called back with an invalid value") from None
        try:
            got = self.given[number](*args, **kwargs)
        except WorkerFailure:
            raise
        except (Exception, Interrupted) as error:  # the test's own way to let a callback fail
            return {"raised": packed_error(error)}
        return got if isinstance(got, Later) else {"value": wire.encode(got)}

    def held(self, later: Later) -> dict[str, Any] | None:
        """The answer that was held back, or None while it has to wait."""
        if later.ready():
            return {"value": wire.encode(later.value)}
        return {"raised": packed_error(TimeoutError(ALONE))} if later.late() else None


def packed_error(error: BaseException) -> dict[str, Any]:
    """An exception of a test's function, as it travels."""
    kind = KeyboardInterrupt if isinstance(error, Interrupted) else type(error)
    content = getattr(error, "content", None)  # of a ToolError, whose only argument it is
    args = error.args if content is None else [content]
    return {"type": wire.name_of(kind), "args": wire.encode([*args], lambda _: 0)}


class Meeting:
    """Functions without arguments that answer once all of them were called, one by one in `order`."""

    def __init__(self, answers: Sequence[Any], order: Sequence[int] | None = None) -> None:
        self._answers, self._order = list(answers), list(range(len(answers)) if order is None else order)
        self.asked = Log(ordered=False)
        self._complete = 0.0
        self._lock = threading.Lock()

    @property
    def jobs(self) -> list[Callable[[], Any]]:
        """A function for each answer."""
        return [partial(self._job, i) for i in range(len(self._answers))]

    def _job(self, i: int) -> Later:
        with self._lock:
            self.asked.add(i)
            if not self._complete and len({job for [job] in self.asked.entries}) == len(self._answers):
                self._complete = time.monotonic()
        return Later(partial(self._turn, i), self._answers[i])

    def _turn(self, i: int) -> bool:
        return bool(self._complete) and time.monotonic() >= self._complete + PAUSE * self._order.index(i)

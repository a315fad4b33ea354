"""Functions of a test that a submission may call: they stay with the grader, and what they say is its secret.

    asked = Log()
    job = asked.hears("job", lambda n: numbers[n])        writes down each call, of both sides
    submission.check("step9.jobs:run", job, asked=asked)  results *and* calls are the reference's

    meeting = Meeting(["a", "b"])                         nobody is answered until all have asked
    submission.check("step2_tools.agent.loop:in_parallel", meeting.jobs)

What a submission must do is visible to the grader in such calls alone: each carries on with what the one
before said, which nobody can know without having asked.
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

PATIENCE = 5.0  # seconds that a meeting waits for those who have not asked
PAUSE = 0.02  # seconds between two answers of a meeting, so that their order is seen
POLL = 0.002
MOST_HEARD = 20_000  # calls that are written down
ALONE = "the others have not asked"


class WorkerFailure(Exception):
    """The submission's process died, hung (`timed_out`), or sent what is no reply, in words."""

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
        """The answer, for who asks in this process: in a thread of its own."""
        while not self.ready():
            if self.late():
                raise TimeoutError(ALONE)
            time.sleep(POLL)
        return self.value


def of_grader(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that a submission may call.

    Raises:
        TypeError: it has defaults: whoever calls it could put something else there.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        raise TypeError(f"{function} has no signature, so what it takes is not known") from None
    if any(each.default is not each.empty or each.kind is each.VAR_KEYWORD for each in parameters):
        raise TypeError(f"{function} has defaults, which a submission could overwrite")
    return function


def here(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as code of this process gets it: what is held back is waited for."""
    of_grader(function)

    @wraps(function)
    def ask(*args: Any, **kwargs: Any) -> Any:
        got = function(*args, **kwargs)
        return got.wait() if isinstance(got, Later) else got

    return ask


@dataclass
class Log:
    """What functions were asked, by whom it may be. Not `ordered`: in whatever order, between two checks."""

    entries: list[list[Any]] = field(default_factory=list)
    ordered: bool = True

    def since(self, place: int) -> list[list[Any]]:
        """What was written down from a place on."""
        found = self.entries[place:]
        return found if self.ordered else sorted(found, key=repr)

    def add(self, *entry: Any) -> list[Any]:
        """Write something down.

        Raises:
            RuntimeError: there is too much of it.
        """
        if len(self.entries) >= MOST_HEARD:
            raise RuntimeError("asked too often")
        self.entries.append([*entry])
        return self.entries[-1]

    def hears(self, name: str, function: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """The function, its calls written down by this name; without one, a function of one argument."""
        if function is None:
            function = _nothing
        signature = inspect.signature(of_grader(function))

        def ask(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs).args
            self.add(name, *map(wire.neutral, given))
            return function(*given)

        ask.__signature__ = signature  # type: ignore[attr-defined]
        ask.__name__ = name
        return ask


def _nothing(_what: Any) -> None:
    """Hears it, and says nothing."""


@dataclass
class Functions:
    """The functions that a submission was given, by number: no two ever have the same."""

    given: dict[int, Callable[..., Any]] = field(default_factory=dict)
    passed: int = 0

    def add(self, function: Callable[..., Any]) -> int:
        """The number of a function that is given away."""
        self.passed += 1
        self.given[self.passed] = of_grader(function)
        return self.passed

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | Later:
        """What a function says, as it travels.

        Raises:
            WorkerFailure: this is no request.
            Unsendable: it says what can't be sent.
        """
        number = request["callback"]
        if type(number) is not int or number not in self.given:
            raise WorkerFailure("it called a function that it was not given")
        try:
            args = [wire.decode(each) for each in request["args"]]
            kwargs = {str(name): wire.decode(each) for name, each in request["kwargs"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise WorkerFailure("it called back with what is not a value") from None
        try:
            got = self.given[number](*args, **kwargs)
        except WorkerFailure:
            raise
        except (Exception, Interrupted) as error:  # the test's own way to let a callback fail
            return {"raised": packed_error(error)}
        return got if isinstance(got, Later) else {"value": wire.encode(got)}

    def held(self, later: Later) -> dict[str, Any] | None:
        """The answer that was held back, if it is time."""
        if later.ready():
            return {"value": wire.encode(later.value)}
        return {"raised": packed_error(TimeoutError(ALONE))} if later.late() else None


def packed_error(error: BaseException) -> dict[str, Any]:
    """What a function of a test raised, as it travels."""
    kind = KeyboardInterrupt if isinstance(error, Interrupted) else type(error)
    content = getattr(error, "content", None)  # of a ToolError, whose only argument it is
    args = error.args if content is None else [content]
    return {"type": wire.name_of(kind), "args": wire.encode([*args], lambda _: 0)}


class Meeting:
    """Functions without arguments that answer when all of them were asked, one after the other in `order`."""

    def __init__(self, answers: Sequence[Any], order: Sequence[int] | None = None) -> None:
        self._answers, self._order = list(answers), list(range(len(answers)) if order is None else order)
        self._asked: set[int] = set()
        self._complete = 0.0
        self._lock = threading.Lock()

    @property
    def jobs(self) -> list[Callable[[], Any]]:
        """A function for each answer."""
        return [partial(self._job, i) for i in range(len(self._answers))]

    def _job(self, i: int) -> Later:
        with self._lock:
            self._asked.add(i)
            if len(self._asked) == len(self._answers) and not self._complete:
                self._complete = time.monotonic()
        return Later(partial(self._turn, i), self._answers[i])

    def _turn(self, i: int) -> bool:
        return bool(self._complete) and time.monotonic() >= self._complete + PAUSE * self._order.index(i)

"""Functions of a test that a submission may call: they run in the grader, and their answers are secret.

    asked = Log()
    job = asked.hears("job", lambda n: numbers[n])        writes down each call, of both sides
    submission.check("step9.jobs:run", job, asked=asked)  results *and* calls must be the reference's

    meeting = Meeting(["a", "b"])                         no call is answered until all have come
    submission.check("step2_tools.agent.loop:in_parallel", meeting.jobs, asked=meeting.asked)

Such calls are all that the grader sees of what a submission does: the next one needs the answer to the one
before, which nobody can know without having asked.
"""

import inspect
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from classroom.protocol import wire

PATIENCE = 5.0  # seconds that a meeting waits for the calls that have not come
PAUSE = 0.02  # seconds between two answers of a meeting, so that their order can be seen
MOST_HELD = 100  # answers that are waited for
MOST_ENTRIES = 20_000  # of a log


class WorkerFailure(Exception):
    """The submission's process died, hung (`timed_out`), or sent an invalid reply; the text says which."""

    def __init__(self, why: str, timed_out: bool = False) -> None:
        super().__init__(why)
        self.timed_out = timed_out


class Unready(Exception):
    """No worker can be started: a fault of the grader, which ends the grading."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a function of a test: the submission gets a KeyboardInterrupt, and the grader goes on."""


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


@dataclass
class Log:
    """The calls of functions, by both sides. Not `ordered`: their order between two checks doesn't count."""

    entries: list[list[Any]] = field(default_factory=list)
    ordered: bool = True
    _told: int = 0

    def news(self) -> list[list[Any]]:
        """The entries since the last time."""
        entries, self._told = self.entries[self._told :], len(self.entries)
        return entries if self.ordered else sorted(entries, key=repr)

    def add(self, *entry: Any) -> None:
        """Add an entry.

        Raises:
            RuntimeError: the log is full.
        """
        if len(self.entries) >= MOST_ENTRIES:
            raise RuntimeError("asked too often")
        self.entries.append([*entry])

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
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(MOST_HELD))

    def add(self, function: Callable[..., Any]) -> int:
        """Give a function to the submission; returns its number."""
        self.passed += 1
        self.given[self.passed] = of_grader(function)
        return self.passed

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | Future[Any]:
        """Call a function: its answer as it travels, or that of a `Job` as a future.

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
        function = self.given[number]
        if isinstance(function, Job):
            return self._threads.submit(function, *args, **kwargs)
        return answered(lambda: function(*args, **kwargs))


def answered(call: Callable[[], Any]) -> dict[str, Any]:
    """What a call gives or raises, as it travels."""
    try:
        got = call()
    except WorkerFailure:
        raise
    except (Exception, Interrupted) as error:  # the test's own way to let a callback fail
        return {"raised": packed_error(error)}
    return {"value": wire.encode(got)}


def packed_error(error: BaseException) -> dict[str, Any]:
    """An exception of a test's function, as it travels."""
    kind = KeyboardInterrupt if isinstance(error, Interrupted) else type(error)
    content = getattr(error, "content", None)  # of a ToolError, whose only argument it is
    args = error.args if content is None else [content]
    return {"type": wire.name_of(kind), "args": wire.encode([*args], lambda _: 0)}


class Meeting:
    """Functions without arguments that answer once all of them were called, one by one in `order`."""

    def __init__(self, answers: Sequence[Any], order: Sequence[int] | None = None) -> None:
        self.answers, self.order = list(answers), list(range(len(answers)) if order is None else order)
        self.asked = Log(ordered=False)
        self.jobs = [Job(self, i) for i in range(len(answers))]
        self.news = threading.Condition()

    def is_complete(self) -> bool:
        """Whether all were called."""
        return len({job for [job] in self.asked.entries}) == len(self.answers)


@dataclass(frozen=True)
class Job:
    """A function of a meeting. It waits for the others, so it needs a thread of its own."""

    meeting: Meeting
    number: int

    def __call__(self) -> Any:
        meeting = self.meeting
        with meeting.news:
            meeting.asked.add(self.number)
            meeting.news.notify_all()
            if not meeting.news.wait_for(meeting.is_complete, PATIENCE):
                raise TimeoutError("the others have not asked")
        time.sleep(PAUSE * meeting.order.index(self.number))
        return meeting.answers[self.number]

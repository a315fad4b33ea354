"""What a test holds instead of a submission: it calls the submission's code, and compares with the reference.

    def test_rrf(submission, draw):
        rankings = [{"a": 3.0, "b": 1.0}, {"b": 2.0}]
        submission.check("step3_rag.retrieve.fuse:rrf", rankings, k=60)          beside the reference solution
        fused = submission.call("step3_rag.retrieve.fuse:rrf", rankings, k=60)   or by hand: plain data
        assert sum(fused.values()) < 1

    clock = Clock()                                    an object of the test; its methods may be passed
    rates = submission.make("step5_serving.api.rates:Rates", 2.0, clock=clock.now)
    rates.check("take", "alice")                       the same call of the submission's and the reference's
    waits = doors.keep("_enter").check_step()          a coroutine, with the test for its event loop

Functions that are passed stay with the grader: the submission gets a stand-in that asks for each call, so a
scripted model's answers and a fake clock never leave the test, and the test sees every question. With
`asked=` a log of them (callbacks.py), the questions of both sides are compared, too.
Data of the steps' own types (dataclasses, pydantic models) is rebuilt from the submission's. Iterators and
coroutines are objects, to be made and then asked. What `call` and `get` give may be anything: look at it
before you compute with it (`"x" * got` may fill the memory), or use `check` instead.

A hidden test gets `Remote`, which speaks to a worker in a sandbox (remote.py). A learner's gets `Local`:
the same tests on the code in this process, with the expected values that were recorded when the assignment
was made.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from classroom.grading.callbacks import Log, WorkerFailure
from classroom.grading.calls import (
    RAISED,
    CallRecord,
    Comparison,
    Fresh,
    Made,
    Raised,
    Request,
    Wrong,
    format_call,
    on_reference,
    outcome,
    perform,
    raised,
)
from classroom.grading.compare import difference, short
from classroom.protocol import wire

if TYPE_CHECKING:
    from classroom.assignment.rubric import Mark

__all__ = ["CallRecord", "Fresh", "Local", "Made", "Raised", "Submission", "WorkerFailure", "Wrong"]

# What no exercise asks for: where the reference raises this, the test is wrong.
BUGS = ("AttributeError", "ImportError", "IndexError", "KeyError", "ModuleNotFoundError", "NameError")
BUGS += ("NotImplementedError", "RecursionError", "TypeError", "UnboundLocalError", "ZeroDivisionError")
KEPT = ("make", "keep", "part")  # what leaves an object in the submission's process


@dataclass
class Submission:
    """A submission, as a test holds it: what all kinds have in common."""

    reveal: bool = False  # whether feedback may show what was expected
    calls: list[CallRecord] = field(default_factory=list)  # by the present test
    unchecked: bool = False  # whether the present test got a value of the submission's that wasn't compared
    worker_reused: bool = False  # whether its process has run other exercises, which may have spoilt it

    def begin(self, mark: Mark) -> None:  # noqa: ARG002
        """A test begins."""
        self.calls, self.unchecked = [], False

    def call(self, target: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result as plain data.

        Raises:
            Raised: the submission did.
            WorkerFailure: its process is gone, or too late.
        """
        self.unchecked = True
        return self.ask(Request("call", target, args, kwargs))

    def check(
        self,
        target: str,
        /,
        *args: Any,
        rel: float = 1e-6,
        abs: float = 1e-9,
        asked: Log | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call it, and the reference with the same; returns the result.

        Where the reference raises, the submission has to raise an exception of the same class. What the
        functions of `asked` were asked has to be the same, too.

        Raises:
            Wrong: they differ.
        """
        return self.compare(Request("call", target, args, kwargs), Comparison(rel, abs, asked))

    def make(self, target: str, /, *args: Any, asked: Log | None = None, **kwargs: Any) -> Made:
        """The result of a call as an object, which stays there, and its counterpart of the reference."""
        return self.kept(Request("make", target, args, kwargs), asked)

    def kept(self, request: Request, asked: Log | None = None) -> Made:
        """Do something whose result stays there, and the same with the reference."""
        log = asked or Log()
        began = len(log.entries)
        made = self.ask(request)
        assert isinstance(made, Made)
        own, began = log.since(began), len(log.entries)
        made.reference = self.twin(lambda: on_reference(request))
        if asked:
            self._agree_on_questions(log, own, began, Comparison())
        return made

    def agree(self, what: str, got: Any, reference: Callable[[], Any]) -> None:
        """Compare something that the test derived from the submission with the same of the reference.

        Raises:
            Wrong: they differ.
        """
        self.calls.append(CallRecord(what, short(got)))
        self._judge(got, self.expected(reference, got), Comparison())

    def compare(self, request: Request, how: Comparison) -> Any:
        """Ask the submission and the reference, compare, and write down how it went."""
        log = how.asked or Log()
        began = len(log.entries)
        waits: list[Any] = []  # of both sides, the future that a coroutine waits for

        def reference() -> Any:
            return _without_future(request, on_reference(request), waits)

        try:
            got: Any = _without_future(request, self.ask(request), waits)
        except Raised as error:
            got = error
        own, began = log.since(began), len(log.entries)
        try:
            expected = self.expected(reference, got)
        except Wrong as wrong:  # an argument that the submission made up
            self.calls[-1].verdict = str(wrong)
            raise
        self._judge(got, expected, how)
        if how.asked:
            self._agree_on_questions(log, own, began, how)
        if waits and isinstance(waits[0], Made):
            waits[0].reference = waits[1] if len(waits) > 1 else None
            return waits[0]
        is_step = request.do == "step"  # a step gives what it raised, anything else what it returned
        return got if isinstance(got, Raised) == is_step else None

    def _agree_on_questions(self, log: Log, own: list[Any], began: int, how: Comparison) -> None:
        """Compare what the submission asked with what the reference asked, in the log from `began` on."""
        self.calls.append(CallRecord("what it asked for", short(own)))
        self._judge(own, self.expected(lambda: log.since(began), own), how)
        self.calls.pop()

    def _judge(self, got: Any, expected: Any, how: Comparison) -> None:
        """Write down whether the last result is as expected.

        Raises:
            Wrong: it is not.
            Raised: it raised something else.
        """
        seen = self.calls[-1]
        if isinstance(expected, Raised):
            if expected.kinds[0] in BUGS:
                raise RuntimeError(f"the reference raised {expected}")
            seen.expected = f"an exception: {expected.kinds[0]}" if self.reveal else None
            if not isinstance(got, Raised):
                seen.verdict = "raised nothing" + (f" instead of {expected.kinds[0]}" if self.reveal else "")
            elif expected.kinds[0] in got.kinds and not got.not_attempted:
                if not how.text or got.text == expected.text[:2000]:
                    seen.verdict = "ok"
                    return
                seen.verdict = f"{got}" + (f" instead of {expected}" if self.reveal else "")
                raise Wrong(seen.verdict)
        elif not isinstance(got, Raised):
            seen.expected = short(expected) if self.reveal else None
            wrong_in = difference(got, expected, how.rel, how.abs, tell=self.reveal)
            if wrong_in is None:
                return
            seen.verdict = wrong_in
        if isinstance(got, Raised):
            raise got
        raise Wrong(seen.verdict)

    def follow(self, request: Request) -> None:
        """Have the reference's object do the same; it may raise."""
        self.twin(lambda: outcome(lambda: on_reference(request)))

    def ask(self, request: Request) -> Any:
        """Have the submission do something: data, or a Made where an object stays there."""
        raise NotImplementedError

    def expected(self, reference: Callable[[], Any], got: Any) -> Any:
        """What should have come."""
        raise NotImplementedError

    def twin(self, reference: Callable[[], Any]) -> Any:
        """The reference's own object."""
        raise NotImplementedError


def _without_future(request: Request, value: Any, waits: list[Any]) -> Any:
    """What a step gave without the future that it waits for, which is added to `waits`."""
    if request.do == "step" and type(value) is tuple and len(value) == 2 and value[0] == "waits":
        waits.append(value[1])
        return "waits", None
    return value


class Here(Submission):
    """A submission whose code is in this process: the learner's own."""

    def ask(self, request: Request) -> Any:
        self.calls.append(CallRecord(format_call(request), "nothing"))
        with self.changed():
            try:
                value = perform(request, request.made and request.made.here)
            except RAISED as error:
                told = raised(error)
                self.calls[-1].got = self.calls[-1].verdict = f"raised {told}"
                raise told from error
        if request.do in KEPT:
            kind = type(value).__name__ if request.made else request.what
            return Made(self, kind, here=value)
        if request.do == "step" and value[0] == "waits":
            return "waits", Made(self, "future", here=value[1])
        self.calls[-1].got = short(value := wire.neutral(value))
        return value

    def changed(self) -> AbstractContextManager[None]:
        """What is in force while the submission runs."""
        return nullcontext()


@dataclass
class Local(Here):
    """The learner's own code in this process. `recorded`: expected values in the order of the checks.

    Without them the code is the reference, and its results are recorded.
    """

    reveal: bool = True
    recorded: list[Any] | None = None  # encoded
    record: list[Any] = field(default_factory=list)
    _place: int = 0

    def twin(self, reference: Callable[[], Any]) -> Any:  # noqa: ARG002
        return None

    def expected(self, reference: Callable[[], Any], got: Any) -> Any:  # noqa: ARG002
        if self.recorded is None:
            told = {"raised": got.kinds, "text": got.text} if isinstance(got, Raised) else None
            self.record.append(told or {"value": wire.encode(got)})
            return got
        if self._place >= len(self.recorded):
            raise Wrong("more checks than were recorded: were the tests changed?")
        told = self.recorded[self._place]
        self._place += 1
        return Raised(told["raised"], told["text"], "") if "raised" in told else wire.decode(told["value"])

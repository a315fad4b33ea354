"""What a test holds instead of a submission: it calls over there, and compares over here.

    def test_rrf(submission, draw):
        rankings = [{"a": 3.0, "b": 1.0}, {"b": 2.0}]
        submission.check("step3_rag.retrieve.fuse:rrf", rankings, k=60)          beside the reference solution
        fused = submission.call("step3_rag.retrieve.fuse:rrf", rankings, k=60)   or by hand: plain data
        assert sum(fused.values()) < 1

    clock = Clock()                                    an object of the test; its methods may go along
    rates = submission.make("step5_serving.api.rates:Rates", 2.0, clock=clock.now)
    rates.check("take", "alice")                       the same call of the submission's and the reference's
    waits = doors.keep("_enter").check_step()          a coroutine, with the test for its event loop

Functions that are passed stay with the grader: the submission gets a stand-in that asks for each call, so a
scripted model's answers and a fake clock never leave the test, and what it was asked is known for sure. With
`asked=` a log of them (callbacks.py), what both sides asked is compared, too.
Data of the steps' own types (dataclasses, pydantic models) is rebuilt from the submission's. Iterators and
coroutines are objects, to be made and then asked. What `call` and `get` give is anything at all: look at it
before you compute with it (`"x" * got` may fill the memory), or `check` instead.

A hidden test gets `Remote`, which speaks to a worker in a sandbox (remote.py). A learner's gets `Local`:
the same tests on the code in this process, with the expected values that were recorded when the assignment
was made.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from classroom.grading.calls import (
    RAISED,
    CallRecord,
    Fresh,
    Raised,
    WorkerFailure,
    Wrong,
    format_call,
    perform,
    raised,
)
from classroom.grading.compare import short
from classroom.grading.comparing import KEPT, Submission
from classroom.grading.made import Made, Request
from classroom.protocol import wire

__all__ = [
    "CallRecord",
    "Fresh",
    "Local",
    "Made",
    "Raised",
    "Submission",
    "WorkerFailure",
    "Wrong",
]


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

    Where there are none the code is the reference, and what it gives is recorded.
    """

    reveal: bool = True
    recorded: list[Any] | None = None  # packed
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

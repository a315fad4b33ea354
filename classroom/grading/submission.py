"""What a test holds instead of a submission: it calls the submission's code, and compares with the reference.

    def test_rrf(submission, draw):
        rankings = [{"a": 3.0, "b": 1.0}, {"b": 2.0}]
        submission.check("step3_rag.retrieve.fuse:rrf", rankings, k=60)          beside the reference solution
        fused = submission.call("step3_rag.retrieve.fuse:rrf", rankings, k=60)   or by hand: plain data
        assert sum(fused.values()) < 1

    clock = Clock()                                    an object of the test; its methods may be passed
    rates = submission.make("step5_serving.api.rates:Rates", 2.0, clock=clock.now)
    rates.check("take", "alice")                       the same call of the submission's and the reference's

Functions that are passed stay with the grader: the submission gets a stand-in that asks for each call, so a
scripted model's answers and a fake clock never leave the test, and the test sees every question. With
`asked=` a log of them (callbacks.py), the questions of both sides are compared, too.
Data of the steps' own types (dataclasses, pydantic models) is rebuilt from the submission's. Iterators are
objects, to be made and then asked; for coroutines see drivers/step5.py. What `call` and `get` give may be
anything: look at it before you compute with it (`"x" * got` may fill the memory), or use `check` instead.

A hidden test gets `Remote`, which speaks to a worker in a sandbox (remote.py). A learner's gets `Local`:
the same tests on the code in this process, with the expected values that were recorded when the assignment
was made.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from classroom.assignment.rubric import Mark
from classroom.grading import calls
from classroom.grading.callbacks import Log, WorkerFailure
from classroom.grading.calls import Callee, CallRecord, Comparison, Fresh, Made, Raised, Request, Wrong
from classroom.grading.compare import difference, short
from classroom.protocol import wire

__all__ = ["CallRecord", "Fresh", "Local", "Made", "Raised", "Submission", "WorkerFailure", "Wrong"]

# What no exercise asks for: where the reference raises this, the test is wrong.
BUGS = ("AttributeError", "ImportError", "IndexError", "KeyError", "ModuleNotFoundError", "NameError")
BUGS += ("NotImplementedError", "RecursionError", "TypeError", "UnboundLocalError", "ZeroDivisionError")
KEPT = ("make", "part")  # what leaves an object in the submission's process


@dataclass
class Submission(Callee):
    """A submission, as a test holds it: what all kinds have in common."""

    reveal: bool = False  # whether feedback may show what was expected
    calls: list[CallRecord] = field(default_factory=list)  # by the present test
    unchecked: bool = False  # whether the present test got a value of the submission's that wasn't compared
    worker_reused: bool = False  # whether its process has run other exercises, which may have spoilt it

    def __post_init__(self) -> None:
        self.of = self

    def begin(self, mark: Mark) -> None:  # noqa: ARG002
        """A test begins."""
        self.calls, self.unchecked = [], False

    def kept(self, request: Request, asked: Log | None = None) -> Made:
        """Do something whose result stays there, and the same with the reference."""
        log = asked or Log()
        log.news()
        made = self.ask(request)
        assert isinstance(made, Made)
        made.origin = calls.format_call(request)
        own = log.news()
        made.reference = self.twin(lambda: calls.on_reference(request))
        if asked:
            self.agree("what it asked for", own, log.news)
            self.calls.pop()
        return made

    def agree(self, what: str, got: Any, reference: Callable[[], Any], **how: Any) -> None:
        """Compare something that the test derived from the submission with the same of the reference.

        Raises:
            Wrong: they differ.
        """
        self.calls.append(CallRecord(what, short(got)))
        self._judge(got, self.expected(reference, got), Comparison(**how))

    def compare(self, request: Request, how: Comparison) -> Any:
        """Ask the submission and the reference, compare, and write down how it went."""
        log = how.asked or Log()
        log.news()
        try:
            got: Any = self.ask(request)
        except Raised as error:
            got = error
        own = log.news()
        try:
            expected = self.expected(lambda: calls.on_reference(request), got)
        except Wrong as wrong:  # an argument that the submission made up
            self.calls[-1].verdict = str(wrong)
            raise
        self._judge(got, expected, how, where=request.what if request.do == "get" else "")
        if how.asked:
            self.agree("what it asked for", own, log.news, rel=how.rel, abs=how.abs)
            self.calls.pop()
        return None if isinstance(got, Raised) else got

    def _judge(self, got: Any, expected: Any, how: Comparison, where: str = "") -> None:
        """Write down whether the last result is as expected; `where`: the attribute that it is.

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
            wrong_in = difference(got, expected, how.rel, how.abs, tell=self.reveal, where=where)
            if wrong_in is None:
                return
            seen.verdict = wrong_in
        if isinstance(got, Raised):
            raise got
        raise Wrong(seen.verdict)

    def ask(self, request: Request) -> Any:
        """Have the submission do something: data, or a Made where an object stays there."""

    def expected(self, reference: Callable[[], Any], got: Any) -> Any:
        """What should have come."""

    def twin(self, reference: Callable[[], Any]) -> Any:
        """The reference's own object."""


@dataclass
class Local(Submission):
    """The learner's own code in this process. `recorded`: expected values in the order of the checks.

    Without them the code is the reference, and its results are recorded.
    """

    reveal: bool = True
    recorded: list[Any] | None = None  # encoded
    record: list[Any] = field(default_factory=list)
    _place: int = 0

    def ask(self, request: Request) -> Any:
        self.calls.append(CallRecord(calls.format_call(request), "nothing"))
        try:
            value = calls.perform(request, request.made and request.made.here)
        except calls.RAISED as error:
            told = calls.raised(error)
            self.calls[-1].got = self.calls[-1].verdict = f"raised {told}"
            raise told from error
        if request.do in KEPT:
            kind = type(value).__name__ if request.made else request.what
            return Made(self, kind, here=value)
        self.calls[-1].got = short(value := wire.neutral(value))
        return value

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

"""What a test holds instead of a submission: it calls over there, and compares over here.

    def test_rrf(submission, draw):
        rankings = [{"a": 3.0, "b": 1.0}, {"b": 2.0}]
        submission.check("step3_rag.retrieve.fuse:rrf", rankings, k=60)          beside the reference solution
        fused = submission.call("step3_rag.retrieve.fuse:rrf", rankings, k=60)   or by hand: plain data
        assert sum(fused.values()) < 1

    clock = Clock()                                    an object of the test; its methods may go along
    rates = submission.make("step5_serving.api.rates:Rates", 2.0, clock=clock.now)
    rates.check("take", "alice")                       the same call of the submission's and the reference's

Functions that are passed stay with the grader: the submission gets a stand-in that asks for each call, so a
scripted model's answers and a fake clock never leave the test, and what it was asked is known for sure.
Data of the steps' own types (dataclasses, pydantic models) is rebuilt from the submission's.
`Name("module:function")` passes something of the submission's own. What a generator yields arrives as
`Yielded`, a list of its own kind; what an `async` function gives as `Awaited(value)`. What `call` and `get`
give is a stranger's: look at it before you compute with it (`"x" * got` may fill the memory), or `check`
instead.

A hidden test gets `Remote`, which speaks to a worker in a sandbox (remote.py). A learner's gets `Local`:
the same tests on the code in this process, with the expected values that were recorded when the assignment
was made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from classroom.grading.calls import (
    CallRecord,
    Fresh,
    Made,
    Raised,
    WorkerFailure,
    Wrong,
    called,
    find,
    format_call,
    outcome,
    raised,
)
from classroom.grading.compare import difference, short
from classroom.protocol import wire
from classroom.protocol.wire import Name, Reference

if TYPE_CHECKING:
    from classroom.assignment.rubric import Mark

__all__ = [
    "Base",
    "CallRecord",
    "Fresh",
    "Local",
    "Made",
    "Name",
    "Raised",
    "Submission",
    "WorkerFailure",
    "Wrong",
]


class Submission(Protocol):
    """What Remote and Local have in common."""

    calls: list[CallRecord]  # by the present test
    unchecked: bool  # whether the present test was given anything that the submission made up, unlooked at
    reveal: bool  # whether feedback may show what was expected
    worker_reused: bool  # whether what was run for other exercises may have spoilt its process

    def begin(self, mark: Mark) -> None:
        """A test begins."""
        ...

    def call(self, target: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result as plain data.

        Raises:
            Raised: the submission did.
            WorkerFailure: its process is gone, or too late.
        """
        ...

    def check(self, target: str, /, *args: Any, rel: float = 1e-6, abs: float = 1e-9, **kwargs: Any) -> Any:
        """Call it, and the reference with the same; returns the result.

        Where the reference raises, the submission has to raise an exception of the same class.

        Raises:
            Wrong: they differ.
        """
        ...

    def make(self, target: str, /, *args: Any, **kwargs: Any) -> Made:
        """An object of the submission, which stays there, and the reference's beside it."""
        ...


@dataclass
class Base:
    """What both kinds do alike. `reveal`: whether feedback may show what was expected."""

    reveal: bool = False
    calls: list[CallRecord] = field(default_factory=list)
    unchecked: bool = False
    worker_reused: bool = False

    def begin(self, mark: Mark) -> None:  # noqa: ARG002
        self.calls, self.unchecked = [], False

    def call(self, target: str, /, *args: Any, **kwargs: Any) -> Any:
        self.unchecked = True
        return self.ask("call", target, args, kwargs)

    def check(self, target: str, /, *args: Any, rel: float = 1e-6, abs: float = 1e-9, **kwargs: Any) -> Any:
        return self.compare("call", target, args, kwargs, None, rel, abs)

    def compare(
        self,
        do: str,
        what: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        made: Made | None,
        rel: float,
        abs: float,
    ) -> Any:
        """Ask, hold it against the reference, and write down how it went."""
        try:
            got: Any = self.ask(do, what, args, kwargs, made)
        except Raised as error:
            got = error
        seen = self.calls[-1]
        try:
            expected = self.expected(lambda: _on_reference(do, what, args, kwargs, made), got)
        except Wrong as wrong:  # an argument of the submission's own that is no data of a step's
            seen.verdict = str(wrong)
            raise
        if isinstance(expected, Raised):
            seen.expected = f"an exception: {expected.kinds[0]}" if self.reveal else None
            if not isinstance(got, Raised):
                seen.verdict = "raised nothing" + (f" instead of {expected.kinds[0]}" if self.reveal else "")
            elif expected.kinds[0] in got.kinds and not got.not_attempted:
                seen.verdict = "ok"
                return None
        elif not isinstance(got, Raised):
            if isinstance(expected, Reference):
                raise TypeError(f"check can't compare objects ({expected.type}): make it, or write a driver")
            seen.expected = short(expected) if self.reveal else None
            wrong_in = difference(got, expected, rel, abs, tell=self.reveal)
            if wrong_in is None:
                return got
            seen.verdict = wrong_in
        if isinstance(got, Raised):
            raise got
        raise Wrong(seen.verdict)

    def ask(
        self, do: str, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Made | None = None
    ) -> Any:
        """Have something done by the submission."""
        raise NotImplementedError

    def expected(self, reference: Callable[[], Any], got: Any) -> Any:
        """What should have come."""
        raise NotImplementedError

    def follow(self, made: Made, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Have the reference's object do the same."""
        raise NotImplementedError


def _on_reference(
    do: str, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Made | None
) -> Any:
    if made is None:
        return called(find(what), args, kwargs)
    return (
        getattr(made.reference, what) if do == "get" else called(getattr(made.reference, what), args, kwargs)
    )


def call_reference(made: Made, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The same call of the reference's object; what it raises is part of how it should be."""
    return outcome(lambda: _on_reference("method", method, args, kwargs, made))


@dataclass
class Local(Base):
    """The learner's own code in this process. `recorded`: expected values in the order of the checks.

    Where there are none the code is the reference, and what it gives is recorded.
    """

    reveal: bool = True
    recorded: list[Any] | None = None  # packed
    record: list[Any] = field(default_factory=list)
    _place: int = 0

    def make(self, target: str, /, *args: Any, **kwargs: Any) -> Made:
        self.calls.append(CallRecord(format_call(target, args, kwargs), "nothing"))
        return Made(self, target, here=self._run(lambda: called(find(target), args, kwargs)))

    def follow(self, made: Made, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """There is none."""

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

    def ask(
        self, do: str, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Made | None = None
    ) -> Any:
        self.calls.append(CallRecord(format_call(what, args, kwargs, made), "nothing"))
        if do == "get":
            value = self._run(lambda: getattr(made.here, what))  # type: ignore[union-attr]
        elif made is None:
            value = self._run(lambda: wire.settled(called(find(what), args, kwargs)))
        else:
            value = self._run(lambda: wire.settled(called(getattr(made.here, what), args, kwargs)))
        self.calls[-1].got = short(value := wire.neutral(value))
        return value

    def _run(self, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except Exception as error:
            told = raised(error)
            self.calls[-1].got = self.calls[-1].verdict = f"raised {told}"
            raise told from error

"""A submission's objects, and what every test does with them: ask, and hold it against the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from classroom.grading.callbacks import Log
from classroom.grading.calls import CallRecord, Raised, Wrong, on_reference, outcome
from classroom.grading.compare import difference, short
from classroom.grading.made import How, Made, Request

if TYPE_CHECKING:
    from classroom.assignment.rubric import Mark


# What no exercise asks for: where the reference raises this, the test is wrong.
BUGS = ("AttributeError", "ImportError", "IndexError", "KeyError", "ModuleNotFoundError", "NameError")
BUGS += ("NotImplementedError", "RecursionError", "TypeError", "UnboundLocalError", "ZeroDivisionError")
KEPT = ("make", "keep", "part")  # what leaves an object there


@dataclass
class Submission:
    """A submission, as a test holds it: what all kinds do alike."""

    reveal: bool = False  # whether feedback may show what was expected
    calls: list[CallRecord] = field(default_factory=list)  # by the present test
    unchecked: bool = False  # whether the present test was given what the submission made up, unlooked at
    worker_reused: bool = False  # whether what was run for other exercises may have spoilt its process

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
        text: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call it, and the reference with the same; returns the result.

        Where the reference raises, the submission has to raise an exception of the same class, and with
        `text` the same words. What the functions of `asked` heard has to be the same, too.

        Raises:
            Wrong: they differ.
        """
        return self.compare(Request("call", target, args, kwargs), How(rel, abs, asked, text))

    def make(self, target: str, /, *args: Any, asked: Log | None = None, **kwargs: Any) -> Made:
        """What a call gives, which stays there as an object, and its twin of the reference."""
        return self.kept(Request("make", target, args, kwargs), asked)

    def kept(self, request: Request, asked: Log | None = None) -> Made:
        """Do something whose result stays there, and the same with the reference."""
        log = asked or Log()
        began = len(log.entries)
        found = self.ask(request)
        assert isinstance(found, Made)
        heard, began = log.since(began), len(log.entries)
        found.reference = self.twin(lambda: on_reference(request))
        if asked:
            self._agree_on_calls(log, heard, began)
        return found

    def _agree_on_calls(self, log: Log, asked: list[Any], began: int, how: How | None = None) -> None:
        """Compare what the submission asked for with what was asked from `began` on."""
        self.agree("what it asked for", asked, lambda: log.since(began), how)
        self.calls.pop()

    def agree(self, what: str, got: Any, reference: Callable[[], Any], how: How | None = None) -> None:
        """Compare what the grader itself made of what came: with what it makes of the reference's.

        Raises:
            Wrong: they differ.
        """
        self.calls.append(CallRecord(what, short(got)))
        self._judge(got, self.expected(reference, got), how or How())

    def compare(self, request: Request, how: How) -> Any:
        """Ask, hold it against the reference, and write down how it went."""
        log = how.asked or Log()
        began = len(log.entries)
        waits: list[Any] = []  # of both, the future that a coroutine waits for

        def reference() -> Any:
            return _without(on_reference(request), waits, request.do)

        try:
            got: Any = _without(self.ask(request), waits, request.do)
        except Raised as error:
            got = error
        asked, began = log.since(began), len(log.entries)
        try:
            expected = self.expected(reference, got)
        except Wrong as wrong:  # an argument of the submission's own that is no data of a step's
            self.calls[-1].verdict = str(wrong)
            raise
        self._judge(got, expected, how)
        if how.asked:
            self._agree_on_calls(log, asked, began, how)
        if waits and isinstance(waits[0], Made):
            waits[0].reference = waits[1] if len(waits) > 1 else None
            return waits[0]
        is_step = request.do == "step"  # what it raised is told of a step, what it returned of anything else
        return got if isinstance(got, Raised) == is_step else None

    def _judge(self, got: Any, expected: Any, how: How) -> None:
        """Write down whether the last that was seen is as expected.

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

    def ask(self, request: Request) -> Any:
        """Have something done by the submission: data, or a Made where an object stays there."""
        raise NotImplementedError

    def expected(self, reference: Callable[[], Any], got: Any) -> Any:
        """What should have come."""
        raise NotImplementedError

    def twin(self, reference: Callable[[], Any]) -> Any:
        """The reference's own object."""
        raise NotImplementedError

    def follow(self, request: Request) -> None:
        """Have the reference's object do the same; what it raises is part of how it should be."""
        self.twin(lambda: outcome(lambda: on_reference(request)))


def _without(value: Any, waits: list[Any], do: str) -> Any:
    """What a step gave, without the future that is waited for, which goes to the list."""
    if do == "step" and type(value) is tuple and len(value) == 2 and value[0] == "waits":
        waits.append(value[1])
        return "waits", None
    return value

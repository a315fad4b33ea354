"""Run the tests of a step against a submission, in a process that is trusted.

    outcomes = run_tests(rubric_tests("step3"), lambda _mark: remote, hidden_seed=4711, public_seed=0)

Each test is called with `submission` (see submission.py) and `draw` (see draw.py). What it says is kept as a
`TestOutcome`: how it ended, in one of these words, why, and each call that it made.

    passed           all of its checks held
    failed           a result was wrong, or something was raised
    not attempted    the stub is still there
    timed out        no answer within the test's time
    crashed          the process ended, ran into a limit, or spoke nonsense
    broken           the test itself failed: a bug of the grader
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from classroom.assignment.rubric import Mark, RubricTest
from classroom.grading.draw import Draw
from classroom.grading.submission import CallRecord, Raised, Submission, WorkerFailure, Wrong


@dataclass
class TestOutcome:
    """How one test ended."""

    __test__ = False  # no test class, whatever pytest takes it for

    mark: Mark
    status: str
    cause: str = ""
    calls: list[CallRecord] = field(default_factory=list)
    seconds: float = 0.0
    error: BaseException | None = None

    @property
    def score(self) -> int:
        return self.mark.points if self.status == "passed" else 0


def run_tests(
    tests: Iterable[RubricTest],
    open_: Callable[[Mark], Submission],
    hidden_seed: int,
    public_seed: int,
    on_outcome: Callable[[TestOutcome], None] = lambda _outcome: None,
    until: float = math.inf,
    unseen: bool = False,
) -> list[TestOutcome]:
    """Run tests in the order of their exercises.

    Args:
        open_: gives the submission of a test.
        hidden_seed: of the inputs; public tests have `public_seed` instead.
        on_outcome: is told of each outcome.
        until: the time.monotonic() after which no test begins.
        unseen: whether public tests are run on inputs of the hidden seed besides: their own are known to
            learners, with what is expected, so a table of answers would do.
    """
    outcomes = []
    for test in sorted(tests, key=lambda test: [int(part) for part in test.mark.id.split(".")]):
        if time.monotonic() >= until:
            outcome = TestOutcome(test.mark, "timed out", "no time left")
        else:
            outcome = _outcome(test, open_(test.mark), hidden_seed, public_seed, unseen)
        outcomes.append(outcome)
        on_outcome(outcome)
    return outcomes


def _outcome(
    test: RubricTest, submission: Submission, hidden_seed: int, public_seed: int, unseen: bool
) -> TestOutcome:
    """Run one, and then a public one as if it were hidden: no word of what is right."""
    began, raised = time.monotonic(), None
    public = test.mark.visibility == "public"
    try:
        _run(test, submission, public_seed if public else hidden_seed)
        if unseen and public:
            _run(test, submission, f"{hidden_seed}:unseen", hide=True)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, where it is the learner's own process
        raised = error
    status, cause = judged(raised, submission.unchecked)
    seconds = time.monotonic() - began
    return TestOutcome(test.mark, status, cause, [*submission.calls], seconds, raised)


def _run(test: RubricTest, submission: Submission, seed: int | str, hide: bool = False) -> None:
    """Run a test; once more in a process of its own, where another exercise's may be at fault."""
    for again in (True, False):
        submission.begin(test.mark)
        if hide:
            submission.reveal = False
        try:
            test.run(submission, Draw(seed, test.mark.test))
        except WorkerFailure as fault:
            if again and submission.worker_reused and not fault.timed_out:
                continue
            raise
        return


def judged(error: BaseException | None, unchecked: bool = False) -> tuple[str, str]:
    """The status of a test that ended like this, and why.

    A test may stumble over what a submission made up, where that is `unchecked`: not the test's fault.
    """
    if error is None:
        return "passed", ""
    if isinstance(error, Raised):
        if error.not_attempted:
            return "not attempted", error.text
        return "failed", f"raised {error}" + (f" ({error.place})" if error.place else "")
    if isinstance(error, WorkerFailure):
        return ("timed out" if error.timed_out else "crashed"), str(error)
    if isinstance(error, Wrong):
        return "failed", str(error)
    if isinstance(error, AssertionError):
        return "failed", str(error) or "a condition of the test does not hold"
    if unchecked and isinstance(error, Exception):
        return "failed", f"what it gave can't be used ({type(error).__name__})"
    return "broken", f"{type(error).__name__}: {error}"

"""Run the tests of a step against a submission, in a process that is trusted.

    outcomes = run_tests(rubric_tests("step3"), lambda _mark: remote, hidden_seed=4711, public_seed=0)

Each test is called with `submission` (see submission.py) and `draw` (see draw.py). A `TestOutcome` holds its
status, the cause, and each call that it made.

    passed           all of its checks held
    failed           a result was wrong, or something was raised
    not attempted    the stub is still there
    timed out        no answer within the test's time
    crashed          the process ended, ran into a limit, or sent an invalid reply
    broken           the test itself failed: a bug of the grader
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from classroom.assignment.rubric import Mark, RubricTest
from classroom.grading.callbacks import Unready
from classroom.grading.draw import Draw
from classroom.grading.submission import CallRecord, Raised, Submission, WorkerFailure


@dataclass
class TestOutcome:
    """How one test ended."""

    __test__ = False  # not a test class for pytest

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
        unseen: whether public tests are also run on inputs of the hidden seed. Learners know the public
            inputs and what is expected, so a table of answers would do for those.
    """
    outcomes = []
    for test in sorted(tests, key=lambda test: [int(part) for part in test.mark.id.split(".")]):
        if time.monotonic() >= until:
            outcome = TestOutcome(test.mark, "timed out", "no time left")
        else:
            seeds: list[int | str] = [hidden_seed]
            if test.mark.visibility == "public":
                seeds = [public_seed, f"{hidden_seed}:unseen"] if unseen else [public_seed]
            outcome = _run_test(test, open_(test.mark), seeds)
        outcomes.append(outcome)
        on_outcome(outcome)
    return outcomes


def _run_test(test: RubricTest, submission: Submission, seeds: list[int | str]) -> TestOutcome:
    """Run one test on the inputs of each seed; only of the first one, feedback may show what was expected."""
    began, raised = time.monotonic(), None
    try:
        for seed in seeds:
            _run_once(test, submission, seed, hide=seed != seeds[0])
    except (KeyboardInterrupt, Unready):
        raise
    except BaseException as error:  # SystemExit, where it is the learner's own process
        raised = error
    status, cause = judged(raised, submission.unchecked)
    seconds = time.monotonic() - began
    return TestOutcome(test.mark, status, cause, [*submission.calls], seconds, raised)


def _run_once(test: RubricTest, submission: Submission, seed: int | str, hide: bool) -> None:
    """Run a test; again in a fresh process if the code of another exercise may have spoilt this one."""
    for last in (False, True):
        submission.begin(test.mark)
        if hide:
            submission.reveal = False
        try:
            test.run(submission, Draw(seed, test.mark.test))
        except WorkerFailure as fault:
            if last or not submission.worker_reused or fault.timed_out:
                raise
        else:
            return


def judged(error: BaseException | None, unchecked: bool = False) -> tuple[str, str]:
    """The status of a test that ended with this error, and the cause.

    Where a test uses values of the submission `unchecked`, an error in the test is the submission's fault.
    """
    if error is None:
        return "passed", ""
    if isinstance(error, Raised):
        if error.not_attempted:
            return "not attempted", error.text
        return "failed", f"raised {error}" + (f" ({error.place})" if error.place else "")
    if isinstance(error, WorkerFailure):
        return ("timed out" if error.timed_out else "crashed"), str(error)
    if isinstance(error, AssertionError):
        return "failed", str(error) or "a condition of the test does not hold"
    if unchecked and isinstance(error, Exception):
        return "failed", f"what it gave can't be used ({type(error).__name__})"
    return "broken", f"{type(error).__name__}: {error}"

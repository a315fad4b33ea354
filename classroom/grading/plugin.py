"""Run the tests of a step against a submission: ordinary pytest, in a process that is trusted.

Each test gets `submission` (see submission.py) and `draw` (see draw.py). What it says is kept as an
`TestOutcome`: how it ended, in one of these words, why, and each call that it made.

    passed           all of its checks held
    failed           a result was wrong, or something was raised
    not attempted    the stub is still there
    timed out        no answer within the test's time
    crashed          the process ended, ran into a limit, or spoke nonsense
    blocked          an exercise that it depends on has no points
    broken           the test itself failed: a bug of the grader
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from classroom.assignment.rubric import MARK, Mark, mark_of
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

    @property
    def score(self) -> int:
        return self.mark.points if self.status == "passed" else 0


class Blocked(Exception):
    """A test is not run: another exercise has no points."""


class RubricPlugin:
    """The plugin. `open_` gives the submission of a test; `on_outcome` is told of each outcome.

    `until` is the time.monotonic() after which no test begins. Without `depends`, no test waits for another
    exercise. With `unseen`, public tests are run on inputs of the recorded seed besides: their own are known
    to learners, with what is expected, so a table of answers would do. Of `tests`, where
    there are any, only those are run.
    """

    def __init__(
        self,
        open_: Callable[[Mark], Submission],
        hidden_seed: int,
        public_seed: int,
        on_outcome: Callable[[TestOutcome], None] = lambda _outcome: None,
        only: str | None = None,
        until: float = math.inf,
        depends: bool = True,
        unseen: bool = False,
        tests: Collection[str] = (),
    ) -> None:
        self._open, self._on_outcome, self._only = open_, on_outcome, only
        self._tests = tests
        self._until, self._depends, self._unseen = until, depends, unseen
        self._seeds = {"public": public_seed}
        self._hidden_seed = hidden_seed
        self.marks: list[Mark] = []  # of all tests
        self.outcomes: list[TestOutcome] = []
        self.problems: list[str] = []  # of the tests themselves

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", MARK)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """In the order of the exercises, so that what others depend on comes first."""
        self.marks = [mark_of(item) for item in items]
        if self._only:
            items[:] = [item for item in items if mark_of(item).id == self._only]
        if self._tests:
            items[:] = [item for item in items if item.name in self._tests]
        items.sort(key=lambda item: [int(part) for part in mark_of(item).id.split(".")])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problems.append(str(report.longrepr))

    @pytest.fixture
    def submission(self, request: pytest.FixtureRequest) -> Submission:
        """The submission, ready for this test."""
        mark = mark_of(request.node)
        if time.monotonic() >= self._until:
            raise WorkerFailure("no time left", timed_out=True)
        for other in mark.depends if self._depends else ():
            if not self._has_points(other):
                raise Blocked(f"needs exercise {other} first")
        request.node.submission = self._open(mark)
        return request.node.submission

    @pytest.fixture
    def draw(self, request: pytest.FixtureRequest) -> Draw:
        """Random inputs: of the class's variant for public tests, of the recorded seed for the others."""
        return Draw(0, mark_of(request.node).test)  # `_run` puts another in its place

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Run a test; a public one then as if it were hidden, too: other inputs, no word of what is right."""
        mark = mark_of(pyfuncitem)
        self._run(pyfuncitem, mark, self._seeds.get(mark.visibility, self._hidden_seed))
        if self._unseen and mark.visibility == "public":
            self._run(pyfuncitem, mark, f"{self._hidden_seed}:unseen", hide=True)
        return True

    def _run(self, item: pytest.Function, mark: Mark, seed: int | str, hide: bool = False) -> None:
        """Run it; once more in a process of its own, where another exercise's may be at fault."""
        submission = cast(Submission, item.funcargs["submission"])
        for again in (True, False):
            submission.begin(mark)
            if hide:
                submission.reveal = False
            held = {**item.funcargs, "draw": Draw(seed, mark.test)}
            try:
                item.obj(**{name: held[name] for name in inspect.signature(item.obj).parameters})
            except WorkerFailure as fault:
                if again and submission.worker_reused and not fault.timed_out:
                    continue
                raise
            return

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        error = call.excinfo.value if call.excinfo else None
        if call.when == "call" or (call.when == "setup" and error is not None):
            submission = getattr(item, "submission", None)
            status, cause = judged(error, getattr(submission, "unchecked", False))
            seen = getattr(submission, "calls", [])
            self._add(TestOutcome(mark_of(item), status, cause, list(seen), call.duration))
        return report

    def _has_points(self, id: str) -> bool:
        return any(outcome.score for outcome in self.outcomes if outcome.mark.id == id)

    def _add(self, outcome: TestOutcome) -> None:
        self.outcomes.append(outcome)
        self._on_outcome(outcome)


def judged(error: BaseException | None, unchecked: bool = False) -> tuple[str, str]:
    """The status of a test that ended like this, and why.

    A test may stumble over what a submission made up, where that is `unchecked`: not the test's fault.
    """
    if error is None:
        return "passed", ""
    if isinstance(error, Blocked):
        return "blocked", str(error)
    if isinstance(error, Raised):
        if error.not_attempted:
            return "not attempted", error.text
        return "failed", f"raised {error}" + (f" ({error.place})" if error.place else "")
    if isinstance(error, WorkerFailure):
        return ("timed out" if error.timed_out else "crashed"), str(error)
    if isinstance(error, Wrong):
        return "failed", str(error)
    if isinstance(error, (AssertionError, pytest.fail.Exception)):
        return "failed", str(error) or "a condition of the test does not hold"
    if unchecked and isinstance(error, Exception):
        return "failed", f"what it gave can't be used ({type(error).__name__})"
    return "broken", f"{type(error).__name__}: {error}"

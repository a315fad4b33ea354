"""Grade one submission: its files into a tree, the tree into a sandbox, the hidden tests against it.

    result = grade(Path("ada.zip"), "step3", seed=4711)

Whatever the submission does, this gives a valid `Result` in bounded time: `seconds` for all tests together,
and a little for the rest. A fault of the grader (no sandbox, tests that can't be read) is an error, and not a
0 for the learner.
"""

import contextlib
import importlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from classroom.assignment.rubric import rubric_tests
from classroom.assignment.spec import PRELOAD, Assignment, classroom_files, packages_of, stripped, write_files
from classroom.assignment.spec import assignment as read_assignment
from classroom.grading.calls import WorkerFailure
from classroom.grading.remote import Remote, Unready
from classroom.grading.result import Result, items_of
from classroom.grading.runner import TestOutcome, run_tests
from classroom.intake.harmless import harmless
from classroom.intake.take import Intake, take
from classroom.isolation import open_worker
from classroom.isolation.stops import open_at
from shared.errors import UserError

SECONDS = 120.0  # for all tests
GRACE = 30.0  # seconds more, after which the grader itself must be stuck
MEMORY = 4 << 30  # bytes that a grader may allocate after the tests begin
UNUSED = (".png", ".svg", ".safetensors", "README.md", "NOTES.md", "Dockerfile")  # no exercise needs them

assignment_of = cache(read_assignment)


def grade(
    submission: Path,
    step: str,
    seed: int,
    variants: Sequence[int] = (0,),
    isolation: str | None = None,
    seconds: float = SECONDS,
    on_outcome: Callable[[TestOutcome], None] = lambda _outcome: None,
    only: Collection[str] = (),
) -> Result:
    """Grade a folder or an archive.

    Args:
        seed: of the hidden tests' inputs; the same for a whole class.
        variants: those that the instructor gave out. A submission's own is believed if it is one of them.
        isolation: the sandbox; the best that this machine has where it is None.
        seconds: for all tests together; tests without any time left count as timed out.
        on_outcome: is told how each test ended.
        only: names of tests; the others are not run, and broken in the result. Empty: all are run.

    Raises:
        UserError: no such submission, step or isolation, or something is wrong with the grader.
    """
    assignment = assignment_of(step)
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    until = began + seconds
    intake = take(submission, assignment.files)
    variant = _variant(intake, variants)
    tests = [test for test in rubric_tests(assignment.step) if not only or test.mark.test in only]
    outcomes: list[TestOutcome] = []

    def hear(outcome: TestOutcome) -> None:
        outcomes.append(outcome)
        on_outcome(outcome)

    with laid_out(assignment, intake.files) as tree:
        preload = PRELOAD.get(assignment.step, ())
        remote = Remote(start=lambda: open_worker(tree, isolation), preload=preload, until=until)
        try:
            remote.warm()
            with _alarm(seconds + GRACE), bounded():
                _import_reference(assignment)
                run_tests(tests, lambda _mark: remote, seed, variant, hear, until, unseen=True)
        except Unready as error:
            raise UserError(f"no worker can be started, so nothing was graded: {error}") from None
        except WorkerFailure:
            intake.note("grading took too long, and was ended")
            done = {outcome.mark.test for outcome in outcomes}
            late = [test.mark for test in tests if test.mark.test not in done]
            outcomes += [TestOutcome(mark, "timed out", "no time left") for mark in late]
        finally:
            remote.close()
    _note_faults(remote, outcomes, intake)
    return Result(
        step=assignment.step,
        submission=intake.name,
        items=items_of(assignment.exercises, outcomes),
        seed=seed,
        variant=variant,
        isolation=remote.level,
        safe=remote.safe,
        started=started,
        seconds=round(time.monotonic() - began, 3),
        notes=tuple(intake.notes),
        output=harmless(remote.printed),
    )


@cache
def base(step: str) -> dict[str, bytes]:
    """The files that all submissions of a step have in common, made once in a process.

    Of the grader there are the worker, the format of its messages, and the step's drivers; nothing of the
    reference or the tests.
    """
    files = {
        name: each
        for name, each in stripped(packages_of(step)).items()
        if not name.endswith(UNUSED) and "/lessons/" not in name  # a chapter may show a solution
    }
    drivers = f"drivers/{step.partition('_')[0]}*.py"
    return files | classroom_files("protocol/*.py", "drivers/__init__.py", drivers)


@contextlib.contextmanager
def laid_out(assignment: Assignment, submitted: Mapping[str, bytes]) -> Iterator[Path]:
    """A temporary folder with the tree of a submission. Others may read it: a sandbox may be another user."""
    with tempfile.TemporaryDirectory(prefix="classroom-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "tree"
        write_files(tree, {**base(assignment.step), **submitted})
        for path in (Path(folder), tree, *tree.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield tree


def _import_reference(assignment: Assignment) -> None:
    """Import what the worker imports meanwhile: the reference and its libraries."""
    for file in assignment.files:
        importlib.import_module(file.removesuffix(".py").replace("/", "."))
    for library in PRELOAD.get(assignment.step, ()):
        importlib.import_module(library)


def _variant(intake: Intake, given: Sequence[int]) -> int:
    """The variant of a submission: the one in its manifest counts only if it was given out."""
    if intake.variant is None or intake.variant in given:
        return given[0] if intake.variant is None else intake.variant
    intake.note(f"it says it is of variant {intake.variant}, which was not given out: graded as {given[0]}")
    return given[0]


def _note_faults(remote: Remote, outcomes: Sequence[TestOutcome], intake: Intake) -> None:
    """Note the grader's own faults and the gaps of the sandbox."""
    for outcome in outcomes:
        if outcome.status == "broken":
            intake.note(f"the test {outcome.mark.test} is broken, a fault of the grader: {outcome.cause}")
    if not remote.safe:
        gaps = ", ".join(open_at(remote.level)) or "all that `levels` tries"
        intake.note(f"isolation {remote.level!r} is not safe for submitted code: it does not stop {gaps}")


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupt this process if it gets stuck itself, say in a pathological value."""

    def ring(_number: int, _frame: Any) -> None:
        raise WorkerFailure("it took too long", timed_out=True)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def bounded(more: int = MEMORY) -> Iterator[None]:
    """Let this process allocate `more` bytes than now, on Linux; beyond that comes a MemoryError.

    An answer of a submission may be an argument of the next call, and make the reference compute much.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    lines = Path("/proc/self/status").read_text().splitlines()
    now = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [each for each in (soft, hard, now + more) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

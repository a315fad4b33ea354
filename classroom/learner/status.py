"""What is solved, what is next: the public tests by exercise, as facts and as a table.

    starter = Starter.load(ROOT)
    facts(starter, tried(starter))      {"exercises": [{"id": "3.1", "state": "solved", ...}], "next": ...}

An exercise whose files are as they were handed out is "not attempted" without a test being run. "solved" says
that all its public tests pass; the hidden ones are with the instructor. The tests run in this process: it is
the learner's own code, on the learner's own machine. One that takes too long is interrupted.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib
import io
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classroom.learner.folder import Exercise, Starter
from shared.cli import plain_table
from shared.errors import UserError
from shared.progress import spinner

if TYPE_CHECKING:
    from rich.console import Console

    from classroom.assignment.rubric import RubricTest
    from classroom.grading.expected import Expected

PRINTED = 2000  # characters that are kept of what a test prints
LINES = 10  # of these that are shown
STYLES = {"solved": "green", "failing": "red", "not attempted": "dim"}


@dataclass(frozen=True)
class LocalOutcome:
    """How a test ended: passed, failed, not attempted, timed out."""

    test: str
    status: str
    cause: str = ""
    place: str = ""  # file:line, where something was raised or went on for too long
    calls: list[dict[str, Any]] = field(default_factory=list)  # that went wrong: call, got, expected, verdict
    printed: str = ""


class Printed(io.StringIO):
    """The beginning of what a test prints."""

    def write(self, text: str, /) -> int:
        super().write(text[: max(0, PRINTED - self.tell())])
        return len(text)


def tried(starter: Starter) -> dict[str, LocalOutcome]:
    """Run the public tests of the exercises whose files were changed.

    Raises:
        UserError: the tests can't be run at all.
    """
    from classroom.assignment.rubric import RubricError, rubric_tests
    from classroom.grading.expected import Expected

    chosen = [each for each in starter.exercises if not starter.untouched(each)]
    names = [line.test for each in chosen for line in each.public]
    if not names:
        return {}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # scripts may have it ignored
    warnings.simplefilter("ignore")
    with spinner("running the public tests"):
        for file in starter.files:
            # Libraries cost no test its time; what is wrong, the tests will say.
            with contextlib.suppress(Exception, SystemExit), contextlib.redirect_stdout(io.StringIO()):
                importlib.import_module(file.removesuffix(".py").replace("/", "."))
        try:
            tests = {each.mark.test: each for each in rubric_tests(starter.step, public_only=True)}
            expected = Expected.load(starter.root / "tests" / "expected.json")
        except (RubricError, OSError, ValueError, KeyError) as error:
            raise UserError(f"the public tests can't be run: {str(error)[-300:]}") from None
        if missing := set(names) - set(tests):
            raise UserError(f"there is no test {min(missing)}; were the public tests changed?")
        return {name: _outcome(starter.root, tests[name], expected) for name in names}


def _outcome(root: Path, test: RubricTest, expected: Expected) -> LocalOutcome:
    """Run one test in its time."""
    from classroom.grading.runner import TestOutcome, run_tests

    local, printed, late = expected.local(test.mark), Printed(), threading.Event()

    def ring() -> None:
        late.set()
        if sys.platform == "win32":
            _thread.interrupt_main()
        else:
            os.kill(os.getpid(), signal.SIGINT)  # also where it sleeps, or waits for a lock

    timer = threading.Timer(test.mark.timeout, ring)
    timer.daemon = True
    timer.start()
    try:
        with contextlib.redirect_stdout(printed):
            [ended] = run_tests([test], lambda _mark: local, 0, expected.variant)
        timer.cancel()
    except KeyboardInterrupt as error:
        if not late.is_set():
            raise
        ended = TestOutcome(test.mark, "timed out", calls=local.calls, error=error)
    status, cause = ended.status, ended.cause
    if late.is_set():
        status, cause = "timed out", f"no answer in {test.mark.timeout:g} s"
    elif status == "not attempted" and not cause.startswith(f"exercise {test.mark.id}:"):
        status, cause = "failed", f"needs {cause}"
    elif status == "broken":  # SystemExit, or an object that the test stumbles over
        status, cause = "failed", f"raised {cause}"
    wrong = [seen for seen in ended.calls if seen.verdict != "ok"] or ended.calls[-1:]
    calls = [] if status == "passed" else [asdict(seen) for seen in wrong]
    place = _raised_at(root, ended.error)
    return LocalOutcome(test.mark.test, status, cause, place, calls, printed.getvalue())


def _raised_at(root: Path, error: BaseException | None) -> str:
    """The innermost line of the step's own that raised it: `step3_rag/retrieve/fuse.py:31`."""
    if error is None:
        return ""
    error = error.__cause__ or error  # submission.py says what was raised, from what was raised
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    own = [
        f"{inside}:{line}"
        for file, line in frames
        if Path(file).is_relative_to(root)
        and (inside := Path(file).relative_to(root).as_posix()).startswith("step")
    ]
    return own[-1] if own else ""


def facts(starter: Starter, outcomes: Mapping[str, LocalOutcome]) -> dict[str, Any]:
    """All that is known. A test without an outcome was not attempted."""
    items = [_item(starter, each, outcomes) for each in starter.exercises]
    public = sum(item["public_points"] for item in items)
    return {
        "step": starter.step,
        "title": starter.title,
        "exercises": items,
        "public_score": sum(item["public_score"] for item in items),
        "public_points": public,
        "hidden_points": sum(each.points for each in starter.exercises) - public,
        "next": next((item["id"] for item in items if item["state"] != "solved"), None),
        "problems": starter.problems(),
    }


def _item(starter: Starter, exercise: Exercise, outcomes: Mapping[str, LocalOutcome]) -> dict[str, Any]:
    tests: list[dict[str, Any]] = []
    for line in exercise.public:
        outcome = outcomes.get(line.test, LocalOutcome(line.test, "not attempted"))
        score = line.points if outcome.status == "passed" else 0
        tests.append({"line": line.line, "points": line.points, "score": score, **asdict(outcome)})
    ended = {test["status"] for test in tests}
    states = {"not attempted": "not attempted", "passed": "solved"}
    return {
        "id": exercise.id,
        "title": exercise.title,
        "state": states.get(ended.pop(), "failing") if len(ended) == 1 else "failing",
        "points": exercise.points,
        "public_score": sum(test["score"] for test in tests),
        "public_points": sum(test["points"] for test in tests),
        **asdict(starter.places(exercise)[0]),
        "tests": tests,
    }


def show(starter: Starter, facts: dict[str, Any], console: Console) -> None:
    """A table, the points, and what is next."""
    table = plain_table("exercise", "", "public", "state", "where", right=["public"])
    for each in facts["exercises"]:
        points = f"{each['public_score']}/{each['public_points']}"
        row = (each["id"], each["title"], points, each["state"], f"{each['file']}:{each['line']}")
        table.add_row(*row, style=STYLES[each["state"]])
    console.print(facts["title"], style="bold", soft_wrap=True)
    console.print(table)
    got, all_ = facts["public_score"], facts["public_points"]
    hidden = f"hidden ones add up to {facts['hidden_points']}"
    console.print(f"{got} of {all_} points by the public tests; {hidden}", soft_wrap=True)
    for problem in facts["problems"]:
        said = f"{problem['file']}:{problem['line']}: {problem['error']}"
        console.print(f"\n{said}", style="bold red", soft_wrap=True)
    if facts["next"] is None:
        said = "All public tests pass. Read the docstrings once more for what hidden ones may ask"
        console.print(f"\n{said}, then: make hand-in", style="green")
        return
    item = next(each for each in facts["exercises"] if each["id"] == facts["next"])
    where = f"{item['file']}:{item['line']} ({item['function']})"
    console.print(f"\nnext: {item['id']} {item['title']}, {where}", style="bold", soft_wrap=True)
    tests = [each for each in item["tests"] if each["status"] != "passed"]
    tests.sort(key=lambda each: each["status"] == "not attempted")  # what was tried comes first
    for test in tests[:1]:  # an exercise may have hidden tests only
        console.print(f"{test['line']} ({test['points']} points)", soft_wrap=True)
        for what, text in _details(test):
            console.print(f"  {what:<9} {text}", soft_wrap=True)
    python = Path(sys.executable)
    command = python.relative_to(starter.root) if python.is_relative_to(starter.root) else "python"
    console.print(f"  {'help':<9} {command} -m classroom hint {item['id']}", style="dim", soft_wrap=True)


def _details(test: dict[str, Any]) -> list[tuple[str, str]]:
    """What was called, what came, what was expected, as far as there is any of it."""
    if test["status"] == "not attempted":
        return [("so", "the stub is still there")]
    rows = []
    for call in test["calls"][:1]:
        rows += [("called", call["call"]), ("came", call["got"]), ("expected", call["expected"] or "")]
    raised = test["calls"] and test["calls"][0]["got"].startswith("raised ")
    rows += [("so", "" if raised and test["cause"].startswith("raised ") else test["cause"])]
    printed = test["printed"].rstrip().splitlines()
    printed[LINES:] = ["…"] if len(printed) > LINES else []
    rows += [("at", test["place"]), ("printed", f"\n{'':<12}".join(printed))]
    return [(what, text) for what, text in rows if text]

"""What is solved, what is next: the public tests by exercise, as facts and as a table.

    run(Starter.load(ROOT))      {"exercises": [{"id": "3.1", "state": "solved", ...}], "next": ...}

"solved" means that all public tests of an exercise pass; the hidden ones are with the instructor. The tests
run in this process: it is the learner's own code, on the learner's own machine. One that takes too long is
interrupted.
"""

import _thread
import contextlib
import importlib
import io
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from classroom.assignment.rubric import Exercise, RubricTest, rubric_tests
from classroom.grading.runner import TestOutcome, run_tests
from classroom.grading.submission import Local
from classroom.learner.folder import Starter
from shared.cli import Console, plain_table
from shared.errors import UserError
from shared.progress import spinner

PRINTED = 2000  # characters that are kept of what a test prints
LINES = 10  # of these that are shown
STYLES = {"solved": "green", "failing": "red", "not attempted": "dim"}


class Printed(io.StringIO):
    """The beginning of what a test prints."""

    def write(self, text: str, /) -> int:
        super().write(text[: max(0, PRINTED - self.tell())])
        return len(text)


def run(starter: Starter) -> dict[str, Any]:
    """Run the public tests, and return all facts.

    Raises:
        UserError: the tests can't be run at all.
    """
    ended = _run_tests(starter)
    items = [_item(starter, each, [ended[mark.test] for mark in each.public]) for each in starter.exercises]
    public = sum(item["public_points"] for item in items)
    return {
        "step": starter.step,
        "title": starter.title,
        "exercises": items,
        "public_score": sum(item["public_score"] for item in items),
        "public_points": public,
        "hidden_points": sum(each.points for each in starter.exercises) - public,
        "next": next((item["id"] for item in items if item["state"] != "solved"), None),
    }


def _run_tests(starter: Starter) -> dict[str, dict[str, Any]]:
    """How each test ended, by its name."""
    names = [mark.test for each in starter.exercises for mark in each.public]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # scripts may have it ignored
    warnings.simplefilter("ignore")
    with spinner("running the public tests"):
        for file in starter.files:
            # So the import of a library counts in no test's time. The tests report errors in the file.
            with contextlib.suppress(Exception, SystemExit), contextlib.redirect_stdout(io.StringIO()):
                importlib.import_module(file.removesuffix(".py").replace("/", "."))
        try:
            tests = {each.mark.test: each for each in rubric_tests(starter.step, public_only=True)}
            told = json.loads((starter.root / "tests" / "expected.json").read_text("utf-8"))
            variant, recorded = told["variant"], told["tests"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"the public tests can't be run: {str(error)[-300:]}") from None
        if missing := set(names) - set(tests):
            raise UserError(f"there is no test {min(missing)}; were the public tests changed?")
        return {name: _run_test(starter.root, tests[name], recorded.get(name, []), variant) for name in names}


def _run_test(root: Path, test: RubricTest, recorded: list[Any], variant: int) -> dict[str, Any]:
    """Run one test in its time."""
    local, printed, late = Local(recorded=recorded), Printed(), threading.Event()

    def interrupt() -> None:
        late.set()
        if sys.platform == "win32":
            _thread.interrupt_main()
        else:
            os.kill(os.getpid(), signal.SIGINT)  # also where it sleeps, or waits for a lock

    timer = threading.Timer(test.mark.timeout, interrupt)
    timer.daemon = True
    timer.start()
    try:
        with contextlib.redirect_stdout(printed):
            [outcome] = run_tests([test], lambda _mark: local, 0, variant)
        timer.cancel()
    except KeyboardInterrupt as error:
        if not late.is_set():
            raise
        outcome = TestOutcome(test.mark, "timed out", calls=local.calls, error=error)
    status, cause = outcome.status, outcome.cause
    if late.is_set():
        status, cause = "timed out", f"no answer in {test.mark.timeout:g} s"
    elif status == "broken":  # SystemExit, or an object that the test can't handle
        status, cause = "failed", f"raised {cause}"
    wrong = [call for call in outcome.calls if call.verdict != "ok"] or outcome.calls[-1:]
    return {
        "test": test.mark.test,
        "line": test.mark.line,
        "points": test.mark.points,
        "score": test.mark.points if status == "passed" else 0,
        "status": status,
        "cause": cause,
        "place": _place(root, outcome.error),
        "calls": [] if status == "passed" else [asdict(call) for call in wrong],
        "printed": printed.getvalue(),
    }


def _place(root: Path, error: BaseException | None) -> str:
    """The innermost line of the step's own code that raised an error: `step3_rag/retrieve/fuse.py:31`."""
    if error is None:
        return ""
    error = error.__cause__ or error  # submission.py raises a Raised from it
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    for file, line in reversed(frames):
        inside = Path(file).relative_to(root).as_posix() if Path(file).is_relative_to(root) else ""
        if inside.startswith("step"):
            return f"{inside}:{line}"
    return ""


def _item(starter: Starter, exercise: Exercise, tests: list[dict[str, Any]]) -> dict[str, Any]:
    statuses = {test["status"] for test in tests}
    states = {"not attempted": "not attempted", "passed": "solved"}
    return {
        "id": exercise.id,
        "title": exercise.title,
        "state": states.get(statuses.pop(), "failing") if len(statuses) == 1 else "failing",
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
    points = f"{facts['public_score']} of {facts['public_points']} points by the public tests"
    console.print(f"{points}; hidden ones add up to {facts['hidden_points']}", soft_wrap=True)
    if facts["next"] is None:
        told = "All public tests pass. Read the docstrings once more for what hidden ones may ask"
        console.print(f"\n{told}, then: make hand-in", style="green")
        return
    item = next(each for each in facts["exercises"] if each["id"] == facts["next"])
    where = f"{item['file']}:{item['line']} ({item['function']})"
    console.print(f"\nnext: {item['id']} {item['title']}, {where}", style="bold", soft_wrap=True)
    tests = [each for each in item["tests"] if each["status"] != "passed"]
    tests.sort(key=lambda each: each["status"] == "not attempted")  # what was tried comes first
    for test in tests[:1]:  # an exercise may have hidden tests only
        points = f"{test['points']} point{'s' * (test['points'] != 1)}"
        console.print(f"{test['line']} ({points})", soft_wrap=True)
        for what, text in _details(test):
            if text:
                console.print(f"  {what:<9} {text}", soft_wrap=True)
    python = Path(sys.executable)
    command = python.relative_to(starter.root) if python.is_relative_to(starter.root) else "python"
    console.print(f"  {'help':<9} {command} -m classroom hint {item['id']}", style="dim", soft_wrap=True)


def _details(test: dict[str, Any]) -> list[tuple[str, str]]:
    """What was called, what came, what was expected; an empty text where it is unknown."""
    if test["status"] == "not attempted":
        return [("so", f"{test['cause']} is not written yet")]
    rows = []
    for call in test["calls"][:1]:
        rows += [("called", call["call"]), ("came", call["got"]), ("expected", call["expected"] or "")]
    raised = test["calls"] and test["calls"][0]["got"].startswith("raised ")
    printed = test["printed"].rstrip().splitlines()
    printed[LINES:] = ["…"] if len(printed) > LINES else []
    return [
        *rows,
        ("so", "" if raised and test["cause"].startswith("raised ") else test["cause"]),
        ("at", test["place"]),
        ("printed", f"\n{'':<12}".join(printed)),
    ]

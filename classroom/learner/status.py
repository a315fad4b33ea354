"""Which public tests pass, what fails, what is next: as facts, and as text.

    run(Starter.load(ROOT))      {"exercises": [{"id": "3.1", "state": "failing", ...}], "next": "3.1", ...}

An exercise whose public tests pass may still fail hidden ones, which are not in the folder: nothing here
calls it solved. While a stub of it is left, it is "unfinished". The tests run in this process: it is the
learner's own code, on the learner's own machine. One that takes too long is interrupted.
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
from shared.cli import Console, Table, plain_table
from shared.errors import UserError
from shared.progress import spinner

PRINTED = 2000  # characters that are kept of what a test prints
LINES = 10  # of these that are shown
WIDTH = 120  # of the table: a row stays one line, also where the terminal is narrow
PASSING = "public tests pass"
FAILING = "failing"
UNFINISHED = "unfinished"  # a public test passes and none fails, but a stub is left
NOT_ATTEMPTED = "not attempted"
STYLES = {PASSING: "green", FAILING: "red", UNFINISHED: "red", NOT_ATTEMPTED: "dim"}


class Printed(io.StringIO):
    """The beginning of what a test prints."""

    def write(self, text: str, /) -> int:
        super().write(text[: max(0, PRINTED - self.tell())])
        return len(text)


def run(starter: Starter, only: str = "") -> dict[str, Any]:
    """Run the public tests of all exercises, or only of the one with this id, and return all facts.

    Raises:
        UserError: there is no such exercise, or the tests can't be run at all.
    """
    exercises = [starter.exercise(only)] if only else starter.in_order
    ended = _run_tests(starter, exercises)
    items = [_item(starter, each, [ended[mark.test] for mark in each.public]) for each in exercises]
    return {
        "step": starter.step,
        "title": starter.title,
        "exercises": items,
        "public_score": sum(item["public_score"] for item in items),
        "public_points": sum(item["public_points"] for item in items),
        "hidden_points": sum(item["hidden_points"] for item in items),
        "next": _next(items),
    }


def _next(items: list[dict[str, Any]]) -> str | None:
    """The id of the first exercise that fails, or else is unfinished, or else is not attempted."""
    for state in (FAILING, UNFINISHED, NOT_ATTEMPTED):
        for item in items:
            if item["state"] == state:
                return item["id"]
    return None


def _run_tests(starter: Starter, exercises: list[Exercise]) -> dict[str, dict[str, Any]]:
    """How each public test of these exercises ended, by its name."""
    names = [mark.test for each in exercises for mark in each.public]
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
    public_points = sum(test["points"] for test in tests)
    return {
        "id": exercise.id,
        "title": exercise.title,
        "state": _state(tests, has_stubs=bool(starter.stubs(exercise))),
        "points": exercise.points,
        "public_score": sum(test["score"] for test in tests),
        "public_points": public_points,
        "hidden_points": exercise.points - public_points,
        **asdict(starter.places(exercise)[0]),
        "tests": tests,
    }


def _state(tests: list[dict[str, Any]], has_stubs: bool) -> str:
    """The state of an exercise with these public tests."""
    statuses = {test["status"] for test in tests}
    if statuses == {"passed"}:
        return UNFINISHED if has_stubs else PASSING
    if statuses <= {"not attempted"}:  # an exercise may have hidden tests only
        return NOT_ATTEMPTED
    if has_stubs and statuses == {"passed", "not attempted"}:
        return UNFINISHED
    return FAILING


def show(starter: Starter, facts: dict[str, Any], console: Console) -> None:
    """A table, the points, every public test that fails, and what is next."""
    console.print(facts["title"], style="bold", soft_wrap=True)
    console.print(_table(starter, facts), width=WIDTH, crop=False)
    console.print(
        f"\n{facts['public_score']} of {facts['public_points']} points by the public tests. "
        f"Hidden tests, worth {facts['hidden_points']} more, do not run here (HANDOUT.md, Grade yourself).",
        soft_wrap=True,
    )
    items = facts["exercises"]
    for item in items:
        if item["state"] in (FAILING, UNFINISHED):
            console.print(f"\n{item['id']} {item['title']}, {_where(item)}", style="bold", soft_wrap=True)
            for test in item["tests"]:
                if test["status"] != "passed":
                    _show_test(test, console)
            for place in starter.stubs(starter.exercise(item["id"])):
                console.print(
                    f"not written yet: {place.function} in {place.file}:{place.line}", soft_wrap=True
                )
    if facts["next"] is None:
        advice = "Now compare your code with what HANDOUT.md asks for, line by line, then hand it in:"
        advice += " python -m classroom hand-in"
        console.print(f"\nAll public tests pass. {advice}", style="green")
        return
    item = next(item for item in items if item["id"] == facts["next"])
    console.print(f"\nnext: {item['id']} {item['title']}, {_where(item)}", style="bold", soft_wrap=True)
    console.print(f"  {'details':<9} python -m classroom status {item['id']}", style="dim", soft_wrap=True)
    console.print(f"  {'a hint':<9} python -m classroom hint {item['id']}", style="dim", soft_wrap=True)


def markdown(facts: dict[str, Any]) -> str:
    """The points as a table in Markdown, for the summary of a CI job."""
    lines = [
        f"### {facts['public_score']} of {facts['public_points']} points by the public tests",
        "",
        "| exercise | public | state |",
        "|---|---:|---|",
    ]
    for item in facts["exercises"]:
        points = f"{item['public_score']} of {item['public_points']}"
        lines.append(f"| {item['id']} {item['title']} | {points} | {item['state']} |")
    hidden = f"Hidden tests, worth {facts['hidden_points']} more, run when the work is graded."
    return "\n".join([*lines, "", hidden, ""])


def show_exercise(starter: Starter, facts: dict[str, Any], console: Console) -> None:
    """All tests of the one exercise of `facts`: how the public ones ended, what the hidden ones ask for."""
    [item] = facts["exercises"]
    exercise = starter.exercise(item["id"])
    console.print(f"{item['id']} {item['title']}: {item['state']}", style="bold", soft_wrap=True)
    for line in starter.lines(exercise):
        console.print(line, soft_wrap=True)
    console.print(f"\npublic tests: {item['public_score']} of {item['public_points']} points", style="bold")
    for test in item["tests"]:
        _show_test(test, console)
    console.print(f"\nhidden tests, which do not run here: {item['hidden_points']} points", style="bold")
    for mark in exercise.marks:
        if mark.visibility == "hidden":
            console.print(f"{mark.line} ({_points(mark.points)})", soft_wrap=True)
    advice = f"a hint: python -m classroom hint {item['id']}"
    if item["state"] == PASSING:
        advice = "what is next: python -m classroom status"
    console.print(f"\n{advice}", style="dim", soft_wrap=True)


def _table(starter: Starter, facts: dict[str, Any]) -> Table:
    """A row for each exercise. Files are named without the step's package, which keeps rows short."""
    table = plain_table("exercise", "public", "hidden", "state", "where", right=["public", "hidden"])
    for item in facts["exercises"]:
        name = f"{item['id']} {item['title']}"
        points = f"{item['public_score']} of {item['public_points']}"
        place = f"{item['file'].removeprefix(f'{starter.step}/')}:{item['line']}"
        row = (name, points, str(item["hidden_points"]), item["state"], place)
        table.add_row(*row, style=STYLES[item["state"]])
    return table


def _where(item: dict[str, Any]) -> str:
    return f"{item['file']}:{item['line']} ({item['function']})"


def _points(number: int) -> str:
    return "1 point" if number == 1 else f"{number} points"


def _show_test(test: dict[str, Any], console: Console) -> None:
    """What a test asks for and how it ended."""
    console.print(f"{test['status']}: {test['line']} ({_points(test['points'])})", soft_wrap=True)
    for what, text in _details(test):
        if text:
            console.print(f"  {what:<9} {text}", soft_wrap=True)


def _details(test: dict[str, Any]) -> list[tuple[str, str]]:
    """What was called, what it returned, what was expected; an empty text where it is unknown."""
    if test["status"] == "passed":
        return []
    if test["status"] == "not attempted":
        return [("why", f"{test['cause']} is not written yet")]
    rows = []
    for call in test["calls"][:1]:
        rows += [("called", call["call"]), ("got", call["got"]), ("expected", call["expected"] or "")]
    raised = test["calls"] and test["calls"][0]["got"].startswith("raised ")
    printed = test["printed"].rstrip().splitlines()
    printed[LINES:] = ["…"] if len(printed) > LINES else []
    return [
        *rows,
        ("why", "" if raised and test["cause"].startswith("raised ") else test["cause"]),
        ("at", test["place"]),
        ("printed", f"\n{'':<12}".join(printed)),
    ]

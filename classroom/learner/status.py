"""What is solved, what is next: the public tests by exercise, as facts and as a table.

    starter = Starter.load(ROOT)
    facts(starter, tried(starter))      {"exercises": [{"id": "3.1", "state": "solved", ...}], "next": ...}

An exercise whose files are as they were handed out is "not attempted" without a test being run. "solved" says
that all its public tests pass; the hidden ones are with the instructor.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classroom.learner.folder import Exercise, Starter
from classroom.learner.trial import LocalOutcome, run
from shared.progress import spinner

if TYPE_CHECKING:
    from rich.console import Console

LINES = 10  # of what a test printed
STYLES = {"solved": "green", "failing": "red", "not attempted": "dim"}


def tried(starter: Starter) -> dict[str, LocalOutcome]:
    """Run the public tests of the exercises whose files were changed."""
    chosen = [each for each in starter.exercises if not starter.untouched(each)]
    files = list(dict.fromkeys(file for each in chosen for file in each.files))
    tests = [line.test for each in chosen for line in each.public]
    with spinner("running the public tests") if tests else contextlib.nullcontext():
        return run(starter.root, tests, files)


def facts(starter: Starter, outcomes: Mapping[str, LocalOutcome]) -> dict[str, Any]:
    """All that is known. A test without an outcome was not attempted."""
    items = [_item(starter, each, outcomes) for each in starter.exercises]
    public = sum(item["public_points"] for item in items)
    open_ = [item["id"] for item in items if item["state"] != "solved"]
    return {
        "step": starter.step,
        "title": starter.title,
        "exercises": items,
        "public_score": sum(item["public_score"] for item in items),
        "public_points": public,
        "hidden_points": sum(each.points for each in starter.exercises) - public,
        "next": open_[0] if open_ else None,
        "problems": [asdict(problem) for problem in starter.problems()],
    }


def _item(starter: Starter, exercise: Exercise, outcomes: Mapping[str, LocalOutcome]) -> dict[str, Any]:
    tests: list[dict[str, Any]] = []
    for line in exercise.public:
        outcome = outcomes.get(line.test, LocalOutcome(line.test, "not attempted"))
        score = line.points if outcome.status == "passed" else 0
        tests.append({"line": line.line, "points": line.points, "score": score, **asdict(outcome)})
    places = starter.places(exercise)
    place = next((each for each in places if each.open), places[0] if places else None)
    return {
        "id": exercise.id,
        "title": exercise.title,
        "state": _state({test["status"] for test in tests}),
        "points": exercise.points,
        "public_score": sum(test["score"] for test in tests),
        "public_points": sum(test["points"] for test in tests),
        "file": place.file if place else exercise.files[0],
        "line": place.line if place else 1,
        "function": place.function if place else "",
        "tests": tests,
    }


def _state(kinds: set[str]) -> str:
    if kinds == {"not attempted"}:
        return "not attempted"
    return "solved" if kinds == {"passed"} else "failing"


def show(starter: Starter, facts: dict[str, Any], console: Console) -> None:
    """A table, the points, and what is next."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("exercise", "", "public", "state", "where"):
        justify = "right" if column == "public" else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column != "")
    for each in facts["exercises"]:
        points = f"{each['public_score']}/{each['public_points']}"
        row = (each["id"], each["title"], points, each["state"], f"{each['file']}:{each['line']}")
        table.add_row(*row, style=STYLES[each["state"]])
    console.print(facts["title"], style="bold", soft_wrap=True)
    console.print(table)
    got, all_ = facts["public_score"], facts["public_points"]
    hidden = f"hidden ones add up to {facts['hidden_points']}"
    console.print(f"{got} of {all_} points by the public tests; {hidden}", soft_wrap=True)
    _show_next(starter, facts, console)


def _show_next(starter: Starter, facts: dict[str, Any], console: Console) -> None:
    """The first open exercise with its first test that doesn't pass."""
    id = facts["next"]
    for problem in facts["problems"]:
        said = f"{problem['file']}:{problem['line']}: {problem['error']}"
        console.print(f"\n{said}", style="bold red", soft_wrap=True)
    if id is None:
        said = "All public tests pass. Read the docstrings once more for what hidden ones may ask"
        console.print(f"\n{said}, then: make hand-in", style="green")
        return
    item = next(each for each in facts["exercises"] if each["id"] == id)
    tests = [each for each in item["tests"] if each["status"] != "passed"]
    tests.sort(key=lambda each: each["status"] == "not attempted")  # what was tried comes first
    where = f"{item['file']}:{item['line']} ({item['function']})"
    console.print(f"\nnext: {id} {item['title']}, {where}", style="bold", soft_wrap=True)
    for test in tests[:1]:
        console.print(f"{test['line']} ({test['points']} points)", soft_wrap=True)
        for what, text in _details(test):
            console.print(f"  {what:<9} {text}", soft_wrap=True)
    console.print(
        f"  {'help':<9} {_python(starter.root)} -m classroom hint {id}", style="dim", soft_wrap=True
    )


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


def _python(root: Path) -> str:
    """How to call the Python that runs this, from the starter's folder."""
    path = Path(sys.executable)
    return os.fspath(path.relative_to(root)) if path.is_relative_to(root) else "python"

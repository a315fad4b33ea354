"""The result of grading one submission: always valid, whatever it did. Other formats are made from it.

    {"schema": "classroom/result/v1", "step": "step3_rag", "submission": "ada", "score": 93, "points": 100,
     "isolation": "sandlock", "safe": true, "seed": 4711, "items": [{"id": "3.1", "score": 10, ...}, ...]}

Text that comes from a submission (exceptions, output, names) is made harmless here: bounded, without control
characters, and without what a terminal or a CI runner takes for a command.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from classroom.assignment.rubric import Exercise, Mark
from classroom.grading.calls import CallRecord
from classroom.grading.runner import TestOutcome
from classroom.intake.harmless import harmless

SCHEMA = "classroom/result/v1"


@dataclass(frozen=True)
class Test:
    """One test: a part of an exercise that gives all of its points or none."""

    name: str
    line: str  # of the rubric: what it asks for
    points: int
    score: int
    visibility: str
    status: str  # as in runner.py
    cause: str
    seconds: float
    calls: tuple[CallRecord, ...] = ()  # those that went wrong


@dataclass(frozen=True)
class Item:
    """An exercise."""

    id: str
    title: str
    points: int
    score: int
    tests: tuple[Test, ...]

    @property
    def status(self) -> str:
        """passed, partial, or the status that all of its tests share, else failed."""
        if self.score == self.points:
            return "passed"
        if self.score:
            return "partial"
        kinds = {test.status for test in self.tests}
        return kinds.pop() if len(kinds) == 1 else "failed"

    @property
    def cause(self) -> str:
        """The first thing that went wrong."""
        return next((test.cause for test in self.tests if test.cause), "")


@dataclass(frozen=True)
class Result:
    """A graded submission."""

    step: str
    submission: str
    items: tuple[Item, ...]
    seed: int
    variant: int
    isolation: str  # sandlock or rlimits
    safe: bool  # whether that sandbox is safe for submitted code
    started: str  # ISO 8601, UTC
    seconds: float
    notes: tuple[str, ...] = ()  # for the instructor: refused files, missing files, weak isolation
    output: str = ""  # the end of what the submission printed
    key: str = ""  # of a class: a hash of all that the result depends on

    @property
    def score(self) -> int:
        return sum(item.score for item in self.items)

    @property
    def points(self) -> int:
        return sum(item.points for item in self.items)

    @property
    def timed_out(self) -> bool:
        """Whether some test did."""
        return any(test.status == "timed out" for item in self.items for test in item.tests)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {"schema": SCHEMA, "score": self.score, "points": self.points, **asdict(self)}

    def to_json(self) -> str:
        """The result as the text of a file."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_dict(cls, made: dict[str, Any]) -> Result:
        """The result of `to_dict`."""
        if made.get("schema") != SCHEMA:
            raise ValueError(f"not a {SCHEMA}")
        rest = {name: each for name, each in made.items() if name not in ("schema", "score", "points")}
        return cls(**rest | {"items": tuple(map(_item, made["items"])), "notes": tuple(made["notes"])})


def write_whole(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, "utf-8", newline="\n")
    part.replace(path)


def _item(made: dict[str, Any]) -> Item:
    return Item(**made | {"tests": tuple(map(_test, made["tests"]))})


def _test(made: dict[str, Any]) -> Test:
    return Test(**made | {"calls": tuple(CallRecord(**call) for call in made["calls"])})


def items_of(exercises: Iterable[Exercise], outcomes: Iterable[TestOutcome]) -> tuple[Item, ...]:
    """The outcomes by exercise. A test without an outcome was not run: no points."""
    by_test = {outcome.mark.test: outcome for outcome in outcomes}
    items = []
    for exercise in exercises:
        tests = tuple(_ended(mark, by_test.get(mark.test)) for mark in exercise.marks)
        points, score = sum(test.points for test in tests), sum(test.score for test in tests)
        items.append(Item(exercise.id, exercise.title, points, score, tests))
    return tuple(items)


def _ended(mark: Mark, outcome: TestOutcome | None) -> Test:
    """The result of a test, with the calls that went wrong."""
    facts = (mark.test, mark.line, mark.points)
    if outcome is None:
        return Test(*facts, 0, mark.visibility, "broken", "the test was not run", 0.0)
    calls = tuple(_harmless(call) for call in outcome.calls if call.verdict != "ok")
    how = (outcome.status, harmless(outcome.cause), round(outcome.seconds, 3))
    return Test(*facts, outcome.score, mark.visibility, *how, calls)


def _harmless(call: CallRecord) -> CallRecord:
    expected = None if call.expected is None else harmless(call.expected)
    return CallRecord(harmless(call.call), harmless(call.got), expected, harmless(call.verdict))

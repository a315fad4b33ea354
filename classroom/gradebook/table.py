"""A class as a table: one row for each attempt.

    name,attempt,file,submitted,late,seconds late,status,score,points,3.1,3.2,isolation,notes
    ada,1,ada,2026-11-30T21:04:12+01:00,no,0,graded,93,100,10,12,sandlock,

A result that the grader itself spoilt has the status `by hand` and no score: nobody gets a silent 0.

Names and notes come from submissions. Spreadsheets take a cell that begins with =, +, - or @ for a formula:
such text gets an apostrophe in front (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from classroom.gradebook.attempts import Attempt
from classroom.grading.result import Item, Result, write_whole
from classroom.intake.harmless import harmless

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
BEFORE = ("name", "attempt", "file", "submitted", "late", "seconds late")
MARKS = ("status", "score", "points")
AFTER = ("isolation", "notes")


@dataclass(frozen=True)
class Graded:
    """An attempt and what became of it."""

    attempt: Attempt
    result: Result
    late: int | None = None  # seconds
    again: bool = True  # whether it was graded now, or taken from the run before

    @property
    def by_hand(self) -> bool:
        """Whether a person must look: the grader, not the learner, failed in some test."""
        return not self.result.items or any(broken(item) for item in self.result.items)


def broken(item: Item) -> bool:
    """Whether a test of an exercise broke."""
    return any(test.status == "broken" for test in item.tests)


def cell(value: object) -> str | float:
    """A value that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = harmless(" ".join(str(value).split()), 1_000)
    return f"'{text}" if text.startswith(FORMULA) else text


def text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as a CSV file has them."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([cell(each) for each in row] for row in rows)
    return file.getvalue()


def write(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, whole or not at all."""
    write_whole(path, text(rows))


def rows(graded: Sequence[Graded]) -> list[list[object]]:
    """The header, and a row for each attempt."""
    ids = exercises(each.result for each in graded)
    return [[*BEFORE, *MARKS, *ids, *AFTER], *(_row(each, ids) for each in graded)]


def exercises(results: Iterable[Result]) -> list[str]:
    """The ids of all exercises, in the order of the step."""
    return list(dict.fromkeys(item.id for result in results for item in result.items))


def _row(graded: Graded, ids: Sequence[str]) -> list[object]:
    attempt, result = graded.attempt, graded.result
    items = {item.id: item for item in result.items}
    submitted = attempt.submitted.astimezone().isoformat(timespec="seconds") if attempt.submitted else None
    late = None if graded.late is None else "yes" if graded.late else "no"
    scores = [None if id not in items or broken(items[id]) else items[id].score for id in ids]
    safe = [] if result.safe or not result.isolation else ["unsafe isolation"]
    return [
        attempt.name,
        attempt.number,
        attempt.path.name,
        submitted,
        late,
        graded.late,
        "by hand" if graded.by_hand else "graded",
        None if graded.by_hand else result.score,
        result.points,
        *scores,
        result.isolation,
        "; ".join(dict.fromkeys([*attempt.notes, *safe, *result.notes])),
    ]


def counted_attempts(graded: Sequence[Graded], take: str) -> list[Graded]:
    """One attempt of each learner: the best, or the latest. One to be looked at by hand counts as best."""
    chosen: dict[str, Graded] = {}
    for each in graded:
        before = chosen.get(each.attempt.name)
        if before is None or _rank(each, take) >= _rank(before, take):
            chosen[each.attempt.name] = each
    return list(chosen.values())


def _rank(graded: Graded, take: str) -> tuple[float, ...]:
    if take == "latest":
        return (graded.attempt.number,)
    return (graded.by_hand, graded.result.score, graded.attempt.number)

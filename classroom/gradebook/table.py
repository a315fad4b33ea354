"""The tables of a class: a row for each attempt, and the files that Canvas and Moodle import.

    Student,ID,SIS Login ID,Section,Retrieval                   Canvas: Grades, Import
    Points Possible,,,,100
    Ada Lovelace,123,,,93

    Identifier,Full name,Email address,Grade,Maximum grade,Last modified (grade)        Moodle
    Participant 123,Ada Lovelace,,93,100,

A result that the grader itself spoilt has the status `by hand` and no score, so that an import leaves the
score that is there. Late ones have theirs: the policy is the course's.

Canvas (lib/gradebook_importer.rb of instructure/canvas-lms) looks learners up by ID, then by name as it
stands in Canvas, and finds an assignment by `Title (id)` or by its title, else makes it. Moodle's "Upload
grading worksheet" (mod/assign/feedback/offline/importgradeslib.php) wants these columns in the site's
language (this is English) and looks learners up by the number behind "Participant", which stands in the
names of the folders that "Download all submissions" makes.

With a roster, everybody on it is in canvas.csv; who handed nothing in has an empty cell, which an import
leaves alone.

Names and notes come from submissions. Spreadsheets take a cell that begins with =, +, - or @ for a formula,
and some of them begin a cell at a semicolon, a tab or a bar: such text gets an apostrophe in front (OWASP,
"CSV Injection").
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from classroom.gradebook.attempts import Attempt
from classroom.gradebook.roster import Person
from classroom.grading.result import Item, Result, write_whole
from classroom.intake.harmless import harmless

# A sign that begins a formula, at the start or behind what some program takes for the end of a cell.
FORMULA = re.compile(r"""(^|[;,|])([\s"']*)(?=[=+@＝＋－＠-])""")
CANVAS = ("Student", "ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Email address", "Grade", "Maximum grade", "Last modified (grade)")
Rows = list[list[object]]


@dataclass(frozen=True)
class Graded:
    """An attempt and its result."""

    attempt: Attempt
    result: Result
    late: int | None = None  # seconds
    again: bool = True  # whether it was graded now, or taken from the run before

    @property
    def by_hand(self) -> bool:
        """Whether a person must look: the grader, not the learner, failed in some test."""
        return any(broken(item) for item in self.result.items)


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
    return FORMULA.sub(r"\1\2'", text)


def text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as a CSV file has them."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([cell(each) for each in row] for row in rows)
    return file.getvalue()


def write(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, whole or not at all."""
    write_whole(path, text(rows))


def rows(graded: Sequence[Graded]) -> Rows:
    """The header, and a row for each attempt."""
    rows = [_row(each) for each in graded]
    return [[*rows[0]], *([*each.values()] for each in rows)]


def _row(graded: Graded) -> dict[str, object]:
    attempt, result = graded.attempt, graded.result
    return {
        "name": attempt.name,
        "id": attempt.person.id,
        "section": attempt.person.section,
        "attempt": attempt.number,
        "file": attempt.path.name,
        "submitted": attempt.submitted and attempt.submitted.astimezone().isoformat(timespec="seconds"),
        "late": None if graded.late is None else "yes" if graded.late else "no",
        "seconds late": graded.late,
        "status": "by hand" if graded.by_hand else "graded",
        "score": None if graded.by_hand else result.score,
        "points": result.points,
        **{item.id: None if broken(item) else item.score for item in result.items},
        "isolation": result.isolation,
        "notes": "; ".join([*attempt.notes, *result.notes]),
    }


def canvas(counted: Sequence[Graded], title: str, points: int, missing: Sequence[Person] = ()) -> Rows:
    """All rows for Canvas, from one attempt of each learner, and the people without one.

    `title` is the assignment's, or `Title (id)`.
    """
    rows: Rows = [[*CANVAS, title], ["Points Possible", "", "", "", points]]
    for each in counted:
        score = None if each.by_hand else each.result.score
        rows.append([*_canvas_cells(each.attempt.person), score])
    rows += [[*_canvas_cells(person), None] for person in missing]
    return rows


def _canvas_cells(person: Person) -> list[object]:
    return [person.name, person.canvas_id, person.login, person.section]


def moodle(counted: Sequence[Graded], points: int) -> Rows:
    """All rows for Moodle, from one attempt of each learner whose score is known."""
    rows: Rows = [[*MOODLE]]
    for each in counted:
        person = each.attempt.person
        if not each.by_hand:
            rows.append([person.moodle_identifier, person.name, person.email, each.result.score, points, ""])
    return rows


def counted_attempts(graded: Sequence[Graded], take: str) -> list[Graded]:
    """One attempt of each learner: the best, or the latest. One to be looked at by hand counts as best."""

    def rank(each: Graded) -> tuple[float, ...]:
        number = each.attempt.number
        return (number,) if take == "latest" else (each.by_hand, each.result.score, number)

    chosen: dict[str, Graded] = {}
    for each in graded:
        who = each.attempt.person.key
        before = chosen.get(who)
        if before is None or rank(each) >= rank(before):
            chosen[who] = each
    return list(chosen.values())

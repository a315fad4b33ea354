"""The command `verify`: recompute a proof of completion that a learner's `proof` wrote.

python -m classroom verify proof.md ada.zip
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from classroom.assignment.rubric import Exercise
from classroom.cli.options import Isolation
from classroom.intake.harmless import harmless
from shared.cli import Console, Json, emit
from shared.errors import UserError, reason
from shared.launch import ExitCode

MAX_PAGE = 1 << 20  # bytes


def verify(
    page: Annotated[Path, typer.Argument(help="The page that `proof` wrote.")],
    submission: Annotated[Path, typer.Argument(help="A folder, a .zip or a .tar.gz.")],
    isolation: Isolation = None,
    as_json: Json = False,
) -> None:
    """Check a proof of completion: compare the files' hashes, and recompute the points in the sandbox."""
    facts = run(page, submission, isolation)
    emit(facts, show, as_json=as_json)
    if not facts["holds"]:
        sys.exit(ExitCode.FAILED)


def run(page: Path, submission: Path, isolation: str | None = None) -> dict[str, Any]:
    """The facts: what holds and what does not.

    Raises:
        UserError: no such page, submission or isolation, or the page is of a copy with older numbers.
    """
    from classroom.grading.grade import assignment_of, grade
    from classroom.intake.take import take
    from classroom.learner.proof import read

    try:
        with page.open("rb") as file:
            told = read(file.read(MAX_PAGE).decode())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else reason(error)
        raise UserError(f"{page} can't be read: {why}") from None
    assignment = assignment_of(told["step"])
    _must_have_todays_numbers(told["titles"], assignment.exercises)
    intake = take(submission, assignment.files)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in intake.files.items()}
    other = [name for name in assignment.files if hashes.get(name) != told["files"].get(name)]
    wrong = [f"{name} is another file" for name in other]
    public = [mark.test for each in assignment.exercises for mark in each.public]
    result = grade(
        submission, told["step"], seed=0, variants=(told["variant"],), isolation=isolation, only=public
    )
    points = {item.id: item.score for item in result.items}
    for id, claimed in told["points"].items():
        if points.get(id, 0) != claimed:
            wrong.append(f"{id}: {points.get(id, 0)} points instead of {claimed}")
    return {
        "command": "classroom verify",
        "headline": f"{sum(points.values())} points by the public tests",
        "holds": not wrong,
        "wrong": wrong,
        "points": points,
        "claimed": told["points"],
        "date": told.get("date"),
        "isolation": result.isolation,
        "safe": result.safe,
    }


def _must_have_todays_numbers(titles: Mapping[str, str], exercises: Sequence[Exercise]) -> None:
    """Refuse a page of an older copy, whose numbers stand for other exercises.

    Raises:
        UserError: the title of an exercise is another one today.
    """
    for exercise in exercises:
        title = titles.get(exercise.id, exercise.title)
        if title != exercise.title:
            raise UserError(
                f"exercise {exercise.id} was {harmless(title)!r} when this page was made, and is "
                f"{exercise.title!r} now: use `grade`, which goes by functions and not by numbers"
            )


def show(facts: dict[str, Any], console: Console) -> None:
    """Whether it holds, and what does not."""
    for each in facts["wrong"]:
        console.print(f"NO  {each}", style="bold red", soft_wrap=True)
    if facts["holds"]:
        console.print(f"ok  all files are those of the page; {facts['headline']}, recomputed", style="green")

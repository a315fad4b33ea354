"""What is made of a class that was graded: the files in its folder, and the facts."""

from __future__ import annotations

from pathlib import Path
from statistics import mean, median
from typing import Any

from classroom.assignment.spec import sources, stripped
from classroom.gradebook import feedback, grades, similarity, statistics, table
from classroom.gradebook.grade_class import Class
from classroom.gradebook.table import Graded, counted_attempts
from classroom.grading.result import Result
from classroom.intake.take import take as take_files
from shared.errors import UserError, reason
from shared.progress import spinner

PAIRS = 5  # that are shown


def write(made: Class, take: str, title: str | None, compared: bool) -> dict[str, Any]:
    """Write all files, and give the facts. `compared`: whether the submissions are, with each other.

    Raises:
        UserError: they can't be written.
    """
    home = made.options.home
    counted = [each for each in counted_attempts(made.graded, take) if each.result.items]
    results = [each.result for each in counted]
    points = results[0].points if results else 0
    found = statistics.of_class(results)
    similar = None
    if compared:
        with spinner("comparing the submissions"):
            similar = _compared(made)
    title = title or made.assignment.title
    try:
        table.write(home / "class.csv", table.rows(made.graded))
        table.write(home / "canvas.csv", grades.canvas(made.graded, title, points, take))
        table.write(home / "moodle.csv", grades.moodle(made.graded, points, take))
        table.write(home / "statistics.csv", statistics.rows(found))
        statistics.picture(found, f"{title} ({len(results)} learners)", home / "statistics.png")
        _feedback(made.graded, home / "feedback")
        files = ["class.csv", "canvas.csv", "moodle.csv", "feedback/", "statistics.csv", "statistics.png"]
        if similar is not None:
            table.write(home / "similarity.csv", similar.rows())
            files.append("similarity.csv")
    except OSError as error:
        raise UserError(f"{home} can't be written to: {reason(error)}") from None
    return _facts(made, counted, found, similar, files)


def _compared(made: Class) -> similarity.Similar:
    """The latest attempts of all learners, beside each other."""
    package, wanted = made.assignment.step, made.assignment.files
    starter, reference = stripped([package]), sources([package])
    latest = counted_attempts(made.graded, "latest")
    return similarity.compare(
        {each.attempt.name: take_files(each.attempt.path, wanted).files for each in latest},
        {name: starter[name] for name in wanted},
        {name: reference[name].read_bytes() for name in wanted},
    )


def _feedback(graded: list[Graded], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for each in graded:
        part = folder / f"{each.attempt.key}.md.part"
        part.write_text(feedback.render(each.result), "utf-8")
        part.replace(folder / f"{each.attempt.key}.md")


def _facts(
    made: Class,
    counted: list[Graded],
    found: list[statistics.Statistic],
    similar: similarity.Similar | None,
    files: list[str],
) -> dict[str, Any]:
    scores = [each.result.score for each in counted if not each.by_hand]
    unknown = [each.attempt.key for each in made.graded if each.attempt.submitted is None]
    return {
        "step": made.assignment.step,
        "seed": made.seed,
        "isolation": made.isolation,
        "safe": made.safe,
        "attempts": len(made.graded),
        "learners": len({each.attempt.name for each in made.graded}),
        "graded_now": sum(each.again for each in made.graded),
        "late": [each.attempt.key for each in made.graded if each.late] if made.options.deadline else None,
        "time_unknown": unknown if made.options.deadline else None,
        "by_hand": {each.attempt.key: _why(each.result) for each in made.graded if each.by_hand},
        "mean": round(mean(scores), 2) if scores else None,
        "median": median(scores) if scores else None,
        "points": counted[0].result.points if counted else None,
        "exercises": [_exercise(each) for each in found],
        "nobody_solved": [
            f"{each.id} {each.title}" for each in found if each.n and not each.counts["solved"]
        ],
        "similarity": _similarity(similar),
        "ignored": made.ignored,
        "unknown_extensions": made.unknown_extensions,
        "out": str(made.options.home),
        "files": files,
    }


def _why(result: Result) -> str:
    broken = [test.cause for item in result.items for test in item.tests if test.status == "broken"]
    return " ".join((broken or ["it has no exercises"])[0].split())[:300]


def _exercise(each: statistics.Statistic) -> dict[str, Any]:
    return {
        "id": each.id,
        "title": each.title,
        "n": each.n,
        **{count_name(kind): each.counts[kind] for kind in statistics.KINDS},
        "mean_points": each.mean_points,
        "points": each.points,
    }


def count_name(kind: str) -> str:
    """What a count is called among the facts."""
    return kind.replace(" ", "_")


def _similarity(similar: similarity.Similar | None) -> dict[str, Any] | None:
    if similar is None:
        return None
    pairs = [dict(zip(similarity.HEADER, pair, strict=True)) for pair in similar.pairs[:PAIRS]]
    return {
        "compared": similar.compared,
        "pairs": len(similar.pairs),
        "most_similar": pairs,
        "problem": similar.problem,
    }

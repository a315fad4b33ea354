"""What comes of a graded class: the files in its folder, and the facts."""

from collections.abc import Sequence
from statistics import mean, median
from typing import Any

from classroom.assignment.spec import sources, stripped
from classroom.gradebook import feedback, similarity, statistics, table
from classroom.gradebook.attempts import LATE
from classroom.gradebook.grade_class import Class
from classroom.gradebook.table import Graded, counted_attempts
from classroom.grading.result import Result, write_whole
from classroom.intake.take import take as take_files
from shared.errors import UserError, reason
from shared.progress import spinner

PAIRS = 5  # that are shown
FILES = ["class.csv", "canvas.csv", "moodle.csv", "feedback/", "statistics.csv", "statistics.png"]
FILES += ["similarity.csv"]


def write(made: Class, take: str, title: str | None) -> dict[str, Any]:
    """Write all files, and return the facts.

    Raises:
        UserError: they can't be written.
    """
    home = made.options.home
    counted = counted_attempts(made.graded, take)
    points = counted[0].result.points
    exercises = statistics.of_class([each.result for each in counted])
    with spinner("comparing the submissions"):
        similar = _compare(made)
    title = title or made.assignment.title
    try:
        table.write(home / "class.csv", table.rows(made.graded))
        table.write(home / "canvas.csv", table.canvas(counted, title, points, made.missing))
        table.write(home / "moodle.csv", table.moodle(counted, points))
        table.write(home / "statistics.csv", statistics.rows(exercises))
        statistics.picture(exercises, f"{title} ({len(counted)} learners)", home / "statistics.png")
        (home / "feedback").mkdir(exist_ok=True)
        for each in made.graded:
            write_whole(home / "feedback" / f"{each.attempt.key}.md", feedback.render(each.result))
        table.write(home / "similarity.csv", [similarity.HEADER, *similar.pairs])
    except OSError as error:
        raise UserError(f"{home} can't be written to: {reason(error)}") from None
    return _facts(made, counted, exercises, similar)


def _compare(made: Class) -> similarity.Similar:
    """The latest attempts of all learners, compared with each other."""
    package, wanted = made.assignment.step, made.assignment.files
    starter, reference = stripped([package]), sources([package])
    latest = counted_attempts(made.graded, "latest")
    return similarity.compare(
        {_label(each): take_files(each.attempt.path, wanted).files for each in latest},
        {name: starter[name] for name in wanted},
        {name: reference[name].read_bytes() for name in wanted},
    )


def _label(graded: Graded) -> str:
    """The learner's label, which is never that of the reference."""
    label = graded.attempt.person.label
    return f"{label} (a learner)" if label == similarity.REFERENCE else label


def _facts(
    made: Class,
    counted: Sequence[Graded],
    exercises: Sequence[statistics.Statistic],
    similar: similarity.Similar,
) -> dict[str, Any]:
    graded, has_deadline = made.graded, made.options.deadline
    scores = [each.result.score for each in counted if not each.by_hand]
    unknown = [each.attempt.key for each in graded if each.attempt.submitted is None]
    pairs = [dict(zip(similarity.HEADER, pair, strict=True)) for pair in similar.pairs[:PAIRS]]
    return {
        "step": made.assignment.step,
        "seed": made.seed,
        "isolation": made.isolation,
        "safe": made.safe,
        "attempts": len(graded),
        "learners": len({each.attempt.person.key for each in graded}),
        "graded_now": sum(each.again for each in graded),
        "late": [each.attempt.key for each in graded if each.late] if has_deadline else None,
        "late_in_canvas": [each.attempt.key for each in graded if LATE in each.attempt.notes],
        "time_unknown": unknown if has_deadline else None,
        "by_hand": {each.attempt.key: _why(each.result) for each in graded if each.by_hand},
        "mean": round(mean(scores), 2) if scores else None,
        "median": median(scores) if scores else None,
        "points": counted[0].result.points,
        "exercises": [
            {"id": each.id, "title": each.title, "n": each.n, **each.counts}
            | {"mean_points": each.mean_points, "points": each.points}
            for each in exercises
        ],
        "nobody_solved": [
            f"{each.id} {each.title}" for each in exercises if each.n and not each.counts["solved"]
        ],
        "similarity": {
            "compared": similar.compared,
            "pairs": len(similar.pairs),
            "most_similar": pairs,
            "problem": similar.problem,
        },
        "ignored": made.ignored,
        "not_on_roster": made.unknown,
        "missing": [person.label for person in made.missing],
        "unknown_extensions": made.unknown_extensions,
        "out": str(made.options.home),
        "files": FILES,
    }


def _why(result: Result) -> str:
    causes = (test.cause for item in result.items for test in item.tests if test.status == "broken")
    return " ".join(next(causes).split())[:300]

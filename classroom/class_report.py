"""What is made of a class that was graded: the files in its folder, and what is shown at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from classroom import canvas, class_csv, similarity, statistics
from classroom.assignment import sources, stripped
from classroom.class_csv import Graded, taken
from classroom.class_run import Class
from classroom.formats import render
from classroom.intake import take as take_files
from classroom.result import Result
from shared.errors import UserError, reason
from shared.progress import spinner

if TYPE_CHECKING:
    from rich.console import Console

PAIRS = 5  # that are shown


def write(made: Class, take: str, title: str | None, threshold: float | None) -> dict[str, Any]:
    """Write all files, and give the facts. `threshold` of similarity: None leaves that out.

    Raises:
        UserError: they can't be written.
    """
    home = made.wish.home
    counted = [each for each in taken(made.graded, take) if each.result.items]
    results = [each.result for each in counted]
    points = results[0].points if results else 0
    found = statistics.of_class(results)
    similar = None
    if threshold is not None:
        with spinner("comparing the submissions"):
            similar = _compared(made, threshold)
    title = title or made.assignment.title
    try:
        class_csv.write(home / "class.csv", class_csv.rows(made.graded))
        class_csv.write(home / "canvas.csv", canvas.rows(made.graded, title, points, take))
        class_csv.write(home / "statistics.csv", statistics.rows(found))
        statistics.picture(found, f"{title} ({len(results)} learners)", home / "statistics.png")
        _feedback(made.graded, home / "feedback")
        files = ["class.csv", "canvas.csv", "feedback/", "statistics.csv", "statistics.png"]
        if similar is not None and threshold is not None:
            class_csv.write(home / "similarity.csv", similar.rows())
            (home / "similarity.html").write_text(similarity.page(similar, title, threshold), "utf-8")
            files += ["similarity.csv", "similarity.html"]
    except OSError as error:
        raise UserError(f"{home} can't be written to: {reason(error)}") from None
    return _facts(made, counted, found, similar, files)


def _compared(made: Class, threshold: float) -> similarity.Similar:
    """The latest attempts of all learners, beside each other."""
    package, wanted = made.assignment.step, made.assignment.files
    starter, reference = stripped([package]), sources([package])
    latest = taken(made.graded, "latest")
    return similarity.compare(
        {each.attempt.name: take_files(each.attempt.path, wanted).files for each in latest},
        {name: starter[name] for name in wanted},
        {name: reference[name].read_bytes() for name in wanted},
        threshold,
    )


def _feedback(graded: list[Graded], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for each in graded:
        part = folder / f"{each.attempt.key}.md.part"
        part.write_text(render(each.result, "markdown"), "utf-8")
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
        "late": [each.attempt.key for each in made.graded if each.late] if made.wish.deadline else None,
        "time_unknown": unknown if made.wish.deadline else None,
        "by_hand": {each.attempt.key: _why(each.result) for each in made.graded if each.by_hand},
        "mean": round(mean(scores), 2) if scores else None,
        "median": median(scores) if scores else None,
        "points": counted[0].result.points if counted else None,
        "exercises": [_exercise(each) for each in found],
        "lines": statistics.lines(found),
        "similarity": _similarity(similar),
        "ignored": made.ignored,
        "leftover": made.leftover,
        "out": str(made.wish.home),
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
        **{_name(kind): each.counts[kind] for kind in statistics.KINDS},
        "mean_points": each.mean_points,
        "points": each.points,
        "rest_correlation": each.rest_correlation,
    }


def _name(kind: str) -> str:
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


def show(facts: Mapping[str, Any], console: Console) -> None:
    """What an instructor wants to see first."""
    from rich.table import Table

    head = f"{facts['attempts']} attempts of {facts['learners']} learners"
    if facts["mean"] is not None:
        head += f": mean {facts['mean']:.1f}, median {facts['median']:g} of {facts['points']} points"
    console.print(head, style="bold")
    table = Table(box=None, pad_edge=False, header_style="bold")
    kinds = [kind for kind in statistics.KINDS if any(each[_name(kind)] for each in facts["exercises"])]
    for column in ("", "points", *kinds, "r"):
        table.add_column(column.replace("not attempted", "untried"), justify="right" if column else "left")
    for each in facts["exercises"]:
        counts = [str(each[_name(kind)]) for kind in kinds]
        points, r = each["mean_points"], each["rest_correlation"]
        shown = f"{'?' if points is None else f'{points:.1f}'} of {each['points']}"
        table.add_row(f"{each['id']} {each['title']}", shown, *counts, "" if r is None else f"{r:.2f}")
    console.print(table)
    for line in facts["lines"]:
        console.print(line, soft_wrap=True)
    _show_notes(facts, console)
    where = f"seed {facts['seed']}, {facts['graded_now']} graded now; {', '.join(facts['files'])}"
    console.print(f"{where} in {facts['out']}", style="dim", soft_wrap=True)


def _show_notes(facts: Mapping[str, Any], console: Console) -> None:
    notes = [f"to be looked at by hand: {key}: {why}" for key, why in facts["by_hand"].items()]
    if facts["late"] is not None:
        notes.append(f"late: {_some(facts['late'])}")
    if facts["time_unknown"]:
        notes.append(f"nobody knows when these were handed in: {_some(facts['time_unknown'])}")
    similar = facts["similarity"]
    if similar and similar["problem"]:
        notes.append(f"the submissions could not be compared: {similar['problem']}")
    elif similar:
        notes.append(f"{similar['pairs']} similar pairs among {similar['compared']} that are compared")
        notes += [
            f"   {pair['first']} and {pair['second']}: {pair['similarity of first']:.0%} and "
            f"{pair['similarity of second']:.0%}"
            for pair in similar["most_similar"]
        ]
    if facts["ignored"]:
        notes.append(f"no submissions: {_some(facts['ignored'])}")
    if facts["leftover"]:
        notes.append(f"results of submissions that are gone: {_some(facts['leftover'])}")
    for note in notes:
        console.print(note, style="yellow", soft_wrap=True)
    if not facts["safe"]:
        console.print(f"isolation {facts['isolation']}: NOT SAFE for strangers' code", style="bold red")


def _some(names: list[str]) -> str:
    return (", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")) or "nobody"

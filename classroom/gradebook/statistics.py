"""How a class did, exercise by exercise: a table, a picture, and the lines that an instructor looks for.

    exercise,title,n,solved,partial,failed,not attempted,blocked,mean points,points,rest correlation,...
    3.4,MaxSim,24,0.0,0.25,0.58,0.17,0.0,2.3,15,0.41,...

    nobody solved 3.4 MaxSim
    3.4 test_maxsim_of_pairs: 14 of 24 fail, 9 of them with: at [0]: 0.5

One attempt of each learner counts. What the grader itself spoilt is left out, exercise by exercise, so n may
differ. The rest correlation says whether those who did well elsewhere did well here: Pearson's r between the
points of an exercise and the points of all others (for one that is all or nothing: the point-biserial
correlation, corrected for its own share; Henrysson 1963). Under 10 learners, or where all have the same, it
is unknown. Near 0 or below, look at the exercise before you look at the learners.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import StatisticsError, correlation, mean
from typing import Any

from classroom.gradebook.table import broken, exercises
from classroom.grading.result import Item, Result, Test
from shared.report.record import new_figure

KINDS = ("solved", "partial", "failed", "not attempted", "blocked")
OF_STATUS = {"passed": "solved", "partial": "partial", "not attempted": "not attempted", "blocked": "blocked"}
COLOURS = ("#1b7837", "#a6dba0", "#d6604d", "#d9d9d9", "#b2abd2")  # told apart by the colour-blind, too
FEWEST = 10  # learners for a correlation
WORST = 3  # tests that are told
HEADER = ("exercise", "title", "n", *KINDS, "mean points", "points", "rest correlation")
HEADER_OF_TEST = ("test that fails most", "fails", "most common cause", "with this cause")


@dataclass(frozen=True)
class Failing:
    """A test that some fail, and why most of those do."""

    exercise: str
    test: str
    n: int
    fails: int
    cause: str
    with_cause: int

    def __str__(self) -> str:
        told = f"{self.exercise} {self.test}: {self.fails} of {self.n} fail"
        return f"{told}, {self.with_cause} of them with: {self.cause}" if self.cause else told


@dataclass(frozen=True)
class Statistic:
    """An exercise: learners by how far they came."""

    id: str
    title: str
    points: int
    counts: dict[str, int]
    mean_points: float | None
    rest_correlation: float | None
    failing: tuple[Failing, ...]

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    def share(self, kind: str) -> float | None:
        """Of the learners that count here."""
        return self.counts[kind] / self.n if self.n else None


def of_class(results: Sequence[Result]) -> list[Statistic]:
    """A statistic for each exercise, from one result of each learner."""
    return [_of_exercise(id, results) for id in exercises(results)]


def _of_exercise(id: str, results: Sequence[Result]) -> Statistic:
    found = [(item, result) for result in results for item in result.items if item.id == id]
    whole = [(item, result) for item, result in found if not broken(item)]
    counts = Counter(OF_STATUS.get(item.status, "failed") for item, _ in whole)
    scores = [item.score for item, _ in whole]
    return Statistic(
        id=id,
        title=found[0][0].title,
        points=found[0][0].points,
        counts={kind: counts[kind] for kind in KINDS},
        mean_points=mean(scores) if scores else None,
        rest_correlation=_rest_correlation(whole),
        failing=_failing([item for item, _ in whole]),
    )


def _rest_correlation(whole: Sequence[tuple[Item, Result]]) -> float | None:
    pairs = [
        (item.score, result.score - item.score)
        for item, result in whole
        if not any(broken(each) for each in result.items)
    ]
    if len(pairs) < FEWEST:
        return None
    try:
        return correlation(*zip(*pairs, strict=True))
    except StatisticsError:  # one of them is the same for all
        return None


def _failing(items: Sequence[Item]) -> tuple[Failing, ...]:
    """The tests of an exercise that some fail who tried, the worst first."""
    tests: dict[str, list[Test]] = {}
    for item in items:
        for test in item.tests:
            tests.setdefault(test.name, []).append(test)
    failing = []
    for name, each in tests.items():
        failed = [test for test in each if test.status not in ("passed", "not attempted", "blocked")]
        causes = Counter(_cause(test) for test in failed).most_common(1)
        if failed:
            failing.append(Failing(items[0].id, name, len(each), len(failed), *causes[0]))
    return tuple(sorted(failing, key=lambda each: -each.fails))


def _cause(test: Test) -> str:
    first = " ".join(test.cause.split())
    return first if len(first) <= 120 else first[:119] + "…"


def rows(statistics: Sequence[Statistic]) -> list[list[object]]:
    """The table: unknown is empty."""
    table: list[list[object]] = [[*HEADER, *HEADER_OF_TEST]]
    for each in statistics:
        worst = each.failing[0] if each.failing else None
        shares = [_rounded(each.share(kind)) for kind in KINDS]
        points = [_rounded(each.mean_points), each.points, _rounded(each.rest_correlation)]
        test = [worst.test, worst.fails, worst.cause, worst.with_cause] if worst else [None] * 4
        table.append([each.id, each.title, each.n, *shares, *points, *test])
    return table


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def lines(statistics: Sequence[Statistic]) -> list[str]:
    """What an instructor wants to know first."""
    counted = [each for each in statistics if each.n]
    nobody = [f"{each.id} {each.title}" for each in counted if not each.counts["solved"]]
    told = [f"nobody solved {', '.join(nobody)}"] if nobody else []
    failing = sorted((test for each in counted for test in each.failing), key=lambda each: -each.fails)
    told += [str(each) for each in failing[:WORST]]
    low = [each for each in counted if each.rest_correlation is not None and each.rest_correlation < 0.1]
    told += [
        f"{each.id} {each.title}: who did well elsewhere did no better here (r = {each.rest_correlation:.2f})"
        for each in low
    ]
    return told


def picture(statistics: Sequence[Statistic], title: str, path: Path) -> None:
    """Bars of the shares, one for each exercise, as a PNG."""
    figure = new_figure(10, 1.6 + 0.45 * len(statistics))
    axes = figure.subplots()
    places = range(len(statistics))
    left = [0.0] * len(statistics)
    for kind, colour in zip(KINDS, COLOURS, strict=True):
        shares = [100 * (each.share(kind) or 0) for each in statistics]
        axes.barh(places, shares, left=left, color=colour, label=kind, height=0.7)
        _numbers(axes, shares, left, dark=kind in ("solved", "failed"))
        left = [a + b for a, b in zip(left, shares, strict=True)]
    for place, each in enumerate(statistics):
        axes.text(101, place, _beside(each), va="center", fontsize=8)
    axes.set_yticks(places, [_label(f"{each.id} {each.title}") for each in statistics])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of learners")
    axes.set_title(title.replace("$", r"\$"), loc="left", pad=28)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(KINDS), frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, format="png")


def _numbers(axes: Any, shares: Sequence[float], left: Sequence[float], dark: bool) -> None:
    """The share itself, where its bar has room."""
    for place, (share, start) in enumerate(zip(shares, left, strict=True)):
        if share >= 6:
            colour = "white" if dark else "black"
            axes.text(
                start + share / 2, place, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=8
            )


def _beside(each: Statistic) -> str:
    if each.mean_points is None:
        return "nobody counts"
    r = f", r = {each.rest_correlation:.2f}" if each.rest_correlation is not None else ""
    return f"{each.mean_points:.1f} of {each.points} points{r}"


def _label(text: str) -> str:
    short = text if len(text) <= 34 else text[:33] + "…"
    return short.replace("$", r"\$")  # no formula

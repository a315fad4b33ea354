"""How a class did, exercise by exercise: a table and a picture.

    exercise,title,n,solved,partial,failed,not attempted,mean points,points
    3.4,MaxSim,24,0.0,0.25,0.58,0.17,2.3,15

One attempt of each learner counts. Where the grader itself failed in an exercise, the learner is left out of
that exercise, so n may differ.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from classroom.gradebook.table import broken
from classroom.grading.result import Item, Result
from shared.report.record import new_figure

KINDS = ("solved", "partial", "failed", "not_attempted")
OF_STATUS = {"passed": "solved", "partial": "partial", "not attempted": "not_attempted"}
COLOURS = ("#1b7837", "#a6dba0", "#d6604d", "#d9d9d9")  # the colour-blind can tell them apart


@dataclass(frozen=True)
class Statistic:
    """An exercise: the number of learners of each kind, and their mean points."""

    id: str
    title: str
    points: int
    counts: dict[str, int]
    mean_points: float | None

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    def share(self, kind: str) -> float | None:
        """The share of learners of this kind; None where nobody counts."""
        return self.counts[kind] / self.n if self.n else None


def of_class(results: Sequence[Result]) -> list[Statistic]:
    """A statistic for each exercise, from one result of each learner."""
    return [_of_exercise(items) for items in zip(*(result.items for result in results), strict=True)]


def _of_exercise(items: Sequence[Item]) -> Statistic:
    whole = [item for item in items if not broken(item)]
    counts = Counter(OF_STATUS.get(item.status, "failed") for item in whole)
    return Statistic(
        id=items[0].id,
        title=items[0].title,
        points=items[0].points,
        counts={kind: counts[kind] for kind in KINDS},
        mean_points=mean(item.score for item in whole) if whole else None,
    )


def rows(statistics: Sequence[Statistic]) -> list[list[object]]:
    """The table: what is unknown is empty."""
    kinds = [kind.replace("_", " ") for kind in KINDS]
    table: list[list[object]] = [["exercise", "title", "n", *kinds, "mean points", "points"]]
    for each in statistics:
        figures = [*(each.share(kind) for kind in KINDS), each.mean_points]
        rounded = [None if figure is None else round(figure, 3) for figure in figures]
        table.append([each.id, each.title, each.n, *rounded, each.points])
    return table


def picture(statistics: Sequence[Statistic], title: str, path: Path) -> None:
    """A stacked bar of the shares for each exercise, as a PNG."""
    figure = new_figure(10, 1.6 + 0.45 * len(statistics))
    axes = figure.subplots()
    places = range(len(statistics))
    left = [0.0] * len(statistics)
    for kind, colour in zip(KINDS, COLOURS, strict=True):
        shares = [100 * (each.share(kind) or 0) for each in statistics]
        label = kind.replace("_", " ")
        bars = axes.barh(places, shares, left=left, color=colour, label=label, height=0.7)
        numbers = [f"{share:.0f}" if share >= 6 else "" for share in shares]  # where its bar has room
        text = "white" if kind in ("solved", "failed") else "black"
        axes.bar_label(bars, numbers, label_type="center", color=text, fontsize=8)
        left = [a + b for a, b in zip(left, shares, strict=True)]
    for place, each in enumerate(statistics):
        points = "?" if each.mean_points is None else f"{each.mean_points:.1f}"
        axes.text(101, place, f"{points} of {each.points} points", va="center", fontsize=8)
    axes.set_yticks(places, [_label(f"{each.id} {each.title}") for each in statistics])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of learners")
    axes.set_title(title.replace("$", r"\$"), loc="left", pad=28)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(KINDS), frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, format="png")


def _label(text: str) -> str:
    short = text if len(text) <= 34 else text[:33] + "…"
    return short.replace("$", r"\$")  # no formula

"""Draw how coverage and wrong answers change with the threshold, for chapter 9 of step 3.

python -m docs.drawings.coverage

The numbers are those of the table in the chapter, which `evaluate --answers` printed.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from docs.drawings.svg import BLUE, BOLD, EDGE, GREY, ORANGE, WHITE, arrow, box, label, path, save

LESSONS = Path(__file__).parents[2] / "step3_rag" / "lessons"
CHAPTER = LESSONS / "09-i-dont-know.md"
FILE = LESSONS / "pictures" / "coverage.svg"
# A row of the table: threshold, answered, right, wrong, refused.
ROW = re.compile(r"^(\d(?:\.\d+)?) +(\d+) +(\d+) +(\d+) +\d+$", re.MULTILINE)
OURS = 0.35  # the default threshold
LEFT = 96  # of the plot, in pixels
TOP = 72
WIDE = 540
HIGH = 336
HIGHEST = 70  # wrong answers at the top of the plot, in percent of all questions
LOWEST = -6  # the same at its bottom, so that the lowest points have room for their names
NOTES = LEFT + WIDE + 34  # where the notes begin


@dataclass(frozen=True)
class Point:
    """What happens at a threshold: shares of all questions, in percent."""

    threshold: float
    coverage: float
    right: float
    wrong: float


def points_of(chapter: str) -> list[Point]:
    """The rows of the table in the chapter's text; at threshold 0 every question is answered."""
    rows = ROW.findall(chapter)
    questions = int(rows[0][1])
    points = []
    for threshold, *numbers in rows:
        coverage, right, wrong = (100 * int(number) / questions for number in numbers)
        points.append(Point(float(threshold), coverage, right, wrong))
    return points


def place(coverage: float, wrong: float) -> tuple[float, float]:
    """Where in the picture two percentages lie."""
    return LEFT + WIDE * coverage / 100, TOP + HIGH * (HIGHEST - wrong) / (HIGHEST - LOWEST)


def axes() -> list[str]:
    """The frame, the lines of the grid and the names of both axes."""
    parts = [box(LEFT, TOP, WIDE, HIGH, "", WHITE, EDGE)]
    for percent in range(0, 101, 20):
        x, _ = place(percent, 0)
        parts.append(path((x, TOP), (x, TOP + HIGH), color=EDGE))
        parts.append(label(x, TOP + HIGH + 20, f"{percent} %", color=GREY))
    for percent in range(0, HIGHEST + 1, 10):
        _, y = place(0, percent)
        parts.append(path((LEFT, y), (LEFT + WIDE, y), color=EDGE))
        parts.append(label(LEFT - 8, y + 4.5, f"{percent} %", "end", GREY))
    middle = LEFT + WIDE / 2
    parts.append(label(middle, TOP + HIGH + 44, "coverage: answered, of all questions", style=BOLD))
    parts.append(label(LEFT - 56, TOP - 14, "wrong answers, of all questions", "start", style=BOLD))
    return parts


def curve(points: list[Point]) -> list[str]:
    """The points by threshold, joined; the straight line is what silence by chance would give."""
    start, end = place(0, 0), place(points[0].coverage, points[0].wrong)
    parts = [path(start, end, style='stroke-width="1.5" stroke-dasharray="5 5"')]
    places = [place(point.coverage, point.wrong) for point in points]
    parts.append(path(*places, color=BLUE, style='stroke-width="2.5"'))
    for point, (x, y) in zip(points, places, strict=True):
        is_ours = point.threshold == OURS
        color = ORANGE if is_ours else BLUE
        parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{7 if is_ours else 5}" fill="{color}"/>')
        name = f"{point.threshold:g}".removeprefix("0") or "0"
        parts.append(label(x + 8, y + 18, name, "start", color, BOLD if is_ours else ""))
    return parts


def notes(points: list[Point]) -> list[str]:
    """What to see, beside the plot."""
    ours = next(point for point in points if point.threshold == OURS)
    always = points[0]
    lines = [
        (f"threshold {OURS:g} (ours)".replace("0.", "."), ORANGE, BOLD),
        (f"{ours.coverage:.0f} % answered:", GREY, ""),
        (f"{ours.right:.0f} % right, {ours.wrong:.0f} % wrong", GREY, ""),
        ("", GREY, ""),
        ("threshold 0: always answer", BLUE, BOLD),
        (f"{always.right:.0f} % right, {always.wrong:.0f} % wrong", GREY, ""),
        ("", GREY, ""),
        ("dashed: silent by chance", GREY, BOLD),
        ("The further below the line", GREY, ""),
        ("the curve is, the better the", GREY, ""),
        ("confidence knows what is wrong.", GREY, ""),
    ]
    parts = []
    y = TOP + 40
    for text, color, style in lines:
        parts.append(label(NOTES, y, text, "start", color, style))
        y += 20
    # The threshold rises from right to left.
    right, left = place(92, 3), place(62, 3)
    parts.append(arrow(right, left))
    parts.append(label((left[0] + right[0]) / 2, left[1] - 8, "the threshold rises", color=GREY))
    return parts


def description(points: list[Point]) -> str:
    """The picture in words."""
    texts = [f"{one.threshold:g}: {one.coverage:.0f} % and {one.wrong:.0f} %" for one in points]
    return (
        "A curve of coverage (across) and wrong answers (upwards) by threshold. " + ", ".join(texts) + ". A "
        "dashed straight line from the first of these to zero is what withholding answers by chance gives."
    )


def main() -> None:
    """Draw the curve of the chapter's table, with notes beside it."""
    points = points_of(CHAPTER.read_text(encoding="utf-8"))
    parts = [*axes(), *curve(points), *notes(points)]
    save(FILE, TOP + HIGH + 64, "Coverage and wrong answers", description(points), parts)


if __name__ == "__main__":
    main()

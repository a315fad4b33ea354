"""The report for people: a page of Markdown for a ticket or a pull request, and the same on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from step5_serving.cli.screens import cost_of_all
from step5_serving.telemetry.report import MEASURES, Measure, text_of

if TYPE_CHECKING:
    from rich.console import Console

HEADER = ("", "now", "baseline", "difference", "")
DOUBTFUL = ("confidence", "question", "call")


def rows(facts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The cells of the table, one row a measure that has a value; 95 % intervals stand in brackets."""
    found: list[tuple[str, ...]] = []
    for measure in MEASURES:
        row = facts["measures"][measure.name]
        if row["value"] is None:
            continue
        before, difference = row.get("baseline"), "-"
        if row.get("difference") is not None:
            difference = _with_interval(measure, row["difference"], row["difference_95"], sign="+")
        found.append(
            (
                measure.title,
                _with_interval(measure, row["value"], row["interval_95"]),
                "-" if before is None else text_of(measure, before),
                difference,
                _word(measure, row),
            )
        )
    return found


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The page, on a terminal."""
    from rich.markdown import Markdown

    console.print(Markdown(markdown(facts)))


def markdown(facts: Mapping[str, Any]) -> str:
    """The whole report as a page."""
    summary, before = facts["summary"], facts["baseline"]
    lines = [f"# Report, {summary['since'][:16]} to {summary['until'][:16]} UTC", "", _counts(summary), ""]
    lines += [f"- **{line}**" for line in facts["crossed"]] or [
        "No limit is crossed: nothing is out of bounds."
    ]
    lines += _table(HEADER, rows(facts))
    if before:
        lines += ["", f"Baseline: {before['calls']} calls until {before['until'][:16]}."]
    doubtful = [
        (f"{row['confidence']:.2f}", row["question"] or "", row["trace_id"][:8])
        for row in summary["low_confidence"]
    ]
    if doubtful:
        lines += ["", "## Questions in doubt", *_table(DOUBTFUL, doubtful)]
    return "\n".join(lines) + "\n"


def _table(header: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> list[str]:
    def line(row: tuple[str, ...]) -> str:
        # Questions are anybody's text: no cell may end its row, or begin a tag.
        safe = (" ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;") for cell in row)
        return f"| {' | '.join(safe)} |"

    return ["", line(header), "|" + "---|" * len(header), *map(line, cells)]


def _counts(summary: Mapping[str, Any]) -> str:
    """The first line: calls, errors, tokens, money."""
    tokens = summary["tokens"]
    return (
        f"{summary['calls']} calls, {summary['errors']} errors, {summary['refused']} refused; "
        f"{tokens['input']:,} tokens in, {tokens['output']:,} out; cost {cost_of_all(summary)}"
    )


def _with_interval(measure: Measure, value: float, interval: Sequence[float] | None, sign: str = "") -> str:
    """`1,840 (1,700 to 1,910)`; the value alone where there are too few for an interval."""
    texts = [f"{each:{sign},.{measure.digits}f}" for each in (value, *(interval or ()))]
    return f"{texts[0]} ({texts[1]} to {texts[2]})" if interval else texts[0]


def _word(measure: Measure, row: Mapping[str, Any]) -> str:
    limit = row.get("limit")
    if limit is not None and measure.is_beyond(row["value"], limit):
        return "over the limit" if measure.up_is_bad else "under the limit"
    return measure.worse if row.get("regressed") else ""

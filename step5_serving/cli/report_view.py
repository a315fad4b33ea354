"""The report for people: a table on the screen, and the same as Markdown for a ticket or a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from step5_serving.cli.screens import cost_of_all
from step5_serving.telemetry.report import MEASURES, Measure, text_of

if TYPE_CHECKING:
    from rich.console import Console

HEADER = ("", "now", "95 % interval", "baseline", "difference", "")


def rows(facts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The cells of the table, one row a measure that has a value."""
    found: list[tuple[str, ...]] = []
    for measure in MEASURES:
        row = facts["measures"][measure.name]
        if row["value"] is None:
            continue
        interval, before = row["interval_95"], row.get("baseline")
        difference = "-"
        if row.get("difference") is not None:
            low, high = (_signed(measure, each) for each in row["difference_95"])
            difference = f"{_signed(measure, row['difference'])} ({low} to {high})"
        found.append(
            (
                measure.title,
                text_of(measure, row["value"]),
                "too few" if interval is None else " to ".join(text_of(measure, each) for each in interval),
                "-" if before is None else text_of(measure, before),
                difference,
                _word(measure, row),
            )
        )
    return found


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The table, what is out of bounds, and the questions in doubt."""
    from rich.table import Table

    summary = facts["summary"]
    console.print(_counts(summary), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in HEADER:
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for row in rows(facts):
        table.add_row(*row)
    console.print(table)
    for row in summary["low_confidence"][:5]:
        console.print(f"doubtful, {row['confidence']:.2f}: {row['question']} ({row['trace_id'][:8]})")
    console.print()
    for line in facts["crossed"]:
        console.print(line, style="red", soft_wrap=True)
    if not facts["crossed"]:
        console.print("nothing is out of bounds", style="green")


def markdown(facts: Mapping[str, Any]) -> str:
    """The whole report as a page."""
    summary = facts["summary"]
    lines = [f"# Report, {summary['since'][:16]} to {summary['until'][:16]} UTC", "", _counts(summary), ""]
    lines += [f"- **{line}**" for line in facts["crossed"]] or ["Nothing is out of bounds."]
    lines += ["", *_table(HEADER, rows(facts))]
    if facts["baseline"]:
        lines += [
            "",
            f"Baseline: {facts['baseline']['calls']} calls until {facts['baseline']['until'][:16]}.",
        ]
    versions = [
        (
            row["prompt_version"],
            str(row["calls"]),
            *("-" if row[name] is None else f"{row[name]:,.0f}" for name in ("p50_ms", "p95_ms")),
            "-" if row["mean_confidence"] is None else f"{row['mean_confidence']:.2f}",
        )
        for row in summary["by_prompt_version"]
    ]
    if versions:
        lines += ["", "## Prompt versions", ""]
        lines += _table(("prompt", "calls", "p50, ms", "p95, ms", "confidence"), versions)
    doubtful = [
        (f"{row['confidence']:.2f}", row["question"] or "", row["trace_id"][:8])
        for row in summary["low_confidence"]
    ]
    if doubtful:
        lines += ["", "## Questions in doubt", "", *_table(("confidence", "question", "call"), doubtful)]
    return "\n".join(lines) + "\n"


def _table(header: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> list[str]:
    def line(row: tuple[str, ...]) -> str:
        # Questions are anybody's text: no cell may end its row, or begin a tag.
        safe = (" ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;") for cell in row)
        return f"| {' | '.join(safe)} |"

    return [line(header), "|" + "---|" * len(header), *map(line, cells)]


def _counts(summary: Mapping[str, Any]) -> str:
    """The first line: calls, errors, tokens, money."""
    tokens = summary["tokens"]
    return (
        f"{summary['calls']} calls, {summary['errors']} errors, {summary['refused']} refused; "
        f"{tokens['input']:,} tokens in, {tokens['output']:,} out; cost {cost_of_all(summary)}"
    )


def _signed(measure: Measure, value: float) -> str:
    return f"{value:+,.{measure.digits}f}"


def _word(measure: Measure, row: Mapping[str, Any]) -> str:
    limit = row.get("limit")
    if limit is not None and measure.is_beyond(row["value"], limit):
        return "over the limit" if measure.up_is_bad else "under the limit"
    return measure.worse if row.get("regressed") else ""

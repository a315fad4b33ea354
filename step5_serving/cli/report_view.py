"""The report on a terminal: what is out of bounds, a table of the figures, questions in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.cli import plain_table
from step5_serving.cli.screens import cost_of_all
from step5_serving.telemetry.report import MEASURES, Measure, text_of

if TYPE_CHECKING:
    from rich.console import Console


def show(facts: Mapping[str, Any], console: Console) -> None:
    """One row a measure that has a value; 95 % intervals stand in brackets."""
    summary, before = facts["summary"], facts["baseline"]
    tokens = summary["tokens"]
    console.print(
        f"{summary['since'][:16]} to {summary['until'][:16]} UTC: {summary['calls']} calls, "
        f"{summary['errors']} errors, {summary['refused']} refused; {tokens['input']:,} tokens in, "
        f"{tokens['output']:,} out; cost {cost_of_all(summary)}",
        soft_wrap=True,
    )
    for line in facts["crossed"] or ["No limit is crossed: nothing is out of bounds."]:
        console.print(line, style="bold", soft_wrap=True)
    names = ("now", "baseline", "difference")
    table = plain_table("", *names, " ", right=names)
    for measure in MEASURES:
        row = facts["measures"][measure.name]
        if row["value"] is not None:
            table.add_row(measure.title, *_figures(measure, row), _word(measure, row))
    console.print(table)
    if before:
        console.print(f"baseline: {before['calls']} calls until {before['until'][:16]}", style="dim")
    for each in summary["low_confidence"]:
        question = " ".join((each["question"] or "").split())
        line = f"in doubt: {each['confidence']:.2f}  {each['trace_id'][:8]}  {question}"
        console.print(line, soft_wrap=True)


def _figures(measure: Measure, row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Now, the baseline, and the difference."""
    before, difference = row.get("baseline"), row.get("difference")
    return (
        _with_interval(measure, row["value"], row["interval_95"]),
        "-" if before is None else text_of(measure, before),
        "-" if difference is None else _with_interval(measure, difference, row["difference_95"], sign="+"),
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

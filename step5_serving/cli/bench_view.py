"""What the commands that measure show: their tables, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.cli import plain_table
from shared.report.record import new_figure
from step5_serving.bench.engines import load_of

if TYPE_CHECKING:
    from rich.console import Console


def number(value: float | None, digits: int = 0) -> str:
    """With commas; `-` where it is unknown."""
    return "-" if value is None else f"{value:,.{digits}f}"


def show_engines(facts: Mapping[str, Any], console: Console) -> None:
    """A row for each engine and load, and the ratios."""
    names = ("load", "tokens/s", "first", "p95", "per\ntoken", "whole\np95")
    table = plain_table("engine", *names, right=names)
    for row in facts["rows"]:
        times = (
            number(row[name]) for name in ("first_ms_p50", "first_ms_p95", "token_ms_p50", "whole_ms_p95")
        )
        table.add_row(row["engine"], load_of(row), number(row["tokens_per_second"], 1), *times)
    console.print(table)
    for row in facts["ratios"]:
        times = (
            f"{what} {row[name]:.2f} times ({row[f'{name}_lowest']:.2f} to {row[f'{name}_highest']:.2f})"
            for name, what in {"ratio": "tokens/s", "first": "first token sooner", "token": "others"}.items()
        )
        console.print(
            f"{row['engine']} / {row['over']} with {load_of(row)}: {', '.join(times)}", soft_wrap=True
        )
    errors = {row["engine"]: row["errors"] for row in facts["rows"] if row["errors"]}
    if errors:
        console.print(f"requests that failed: {errors}")
    console.print(
        f"{facts['model']}, {facts['input_tokens']} tokens in, {facts['output_tokens']} out at most, "
        f"{facts['rounds']} rounds in turns; first token, per token and whole answer in ms, p50 where no "
        f"other is named; {facts['machine']}, {facts['idle_cores_before']:.1f} cores idle before",
        soft_wrap=True,
    )
    console.print(f"picture: {facts['picture']}", soft_wrap=True)


def draw_engines(facts: Mapping[str, Any], path: Path) -> None:
    """Throughput over the latency that 95 of 100 requests keep: a line an engine, a dot a load."""
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    for engine in dict.fromkeys(row["engine"] for row in facts["rows"]):
        rows = [row for row in facts["rows"] if row["engine"] == engine and row["whole_ms_p95"]]
        seconds = [row["whole_ms_p95"] / 1000 for row in rows]
        axes.plot(seconds, [row["tokens_per_second"] for row in rows], "o-", label=engine)
        for row, x in zip(rows, seconds, strict=True):
            place = (x, row["tokens_per_second"])
            axes.annotate(load_of(row), place, xytext=(5, -9), textcoords="offset points", fontsize=7)
    axes.set(
        xlabel=f"seconds for {facts['output_tokens']} tokens, p95", ylabel="tokens/s, all users together"
    )
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title(f"{facts['model']}: {facts['input_tokens']} tokens in", fontsize=10)
    figure.savefig(path, dpi=120, format="png")


def show_quantize(facts: Mapping[str, Any], console: Console) -> None:
    """A row for each way."""
    names = ("weights MB", "tokens/s", "perplexity", "answers changed")
    table = plain_table("", *names, right=names)
    for row in facts["rows"]:
        if "left_out" in row:
            table.add_row(row["way"], "-", "-", "-", row["left_out"])
            continue
        figures = (
            number(row["weights_mb"]),
            number(row["tokens_per_second"], 1),
            number(row["perplexity"], 2),
        )
        table.add_row(row["way"], *figures, f"{row['changed']} of {row['answers']}")
    console.print(table)
    console.print(
        f"\n{facts['model']} ({facts['weights']}); perplexity over {facts['tokens_read']} tokens, answers of "
        f"{facts['tokens_written']} tokens at most, one row; {facts['threads']} threads; {facts['machine']}, "
        f"{facts['idle_cores_before']:.1f} cores idle before",
        soft_wrap=True,
    )


def show_capacity(facts: Mapping[str, Any], console: Console) -> None:
    """A row for each number of users."""
    names = ("users", "asked a second", "machines", "busy", "$ a month", "API: $ a month")
    table = plain_table(*names, right=names)
    for row in facts["rows"]:
        table.add_row(
            number(row["users"]),
            number(row["asked"], 2),
            number(row["machines"]),
            f"{100 * row['busy']:.0f} %",
            number(row["usd_per_month"]),
            number(row["api_usd_per_month"]),
        )
    console.print(table)
    where = f"engine {facts['engine']} on {facts['machine']}; API: {facts['api_model']}"
    console.print(where, style="dim", soft_wrap=True)
    console.print(facts["headline"])

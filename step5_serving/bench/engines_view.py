"""What `bench` shows: the table, and the picture of throughput against latency."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.cli import plain_table
from shared.report.record import new_figure

if TYPE_CHECKING:
    from rich.console import Console


def show(facts: Mapping[str, Any], console: Console) -> None:
    """A row for each engine and load, the ratios, and the roofline."""
    names = ("load", "tokens/s", "first", "p95", "per\ntoken", "p95", "stall\np95", "whole\np95")
    table = plain_table("engine", *names, right=names)
    for row in facts["rows"]:
        table.add_row(
            row["engine"],
            load_of(row),
            f"{row['tokens_per_second']:.1f}",
            *(_ms(row[f"{name}_p{share}"]) for name in ("first_ms", "token_ms") for share in (50, 95)),
            _ms(row["stall_ms_p95"]),
            _ms(row["whole_ms_p95"]),
        )
    console.print(table)
    for row in facts["ratios"]:
        times = [
            f"{what} {row[name]:.2f} times ({row[f'{name}_lowest']:.2f} to {row[f'{name}_highest']:.2f})"
            for name, what in {"ratio": "tokens/s", "first": "first token sooner", "token": "others"}.items()
        ]
        console.print(
            f"{row['engine']} / {row['over']} with {row['users']} users: {', '.join(times)}", soft_wrap=True
        )
    errors = {row["engine"]: row["errors"] for row in facts["rows"] if row["errors"]}
    if errors:
        console.print(f"requests that failed: {errors}")
    line = facts["roofline"]
    console.print(
        f"\nroofline: {line['weight_mb']:.0f} MB of {line['dtype']} weights a token, "
        f"{line['bandwidth_gb_per_second']:.1f} GB/s: at most {line['bound_tokens_per_second']:.0f} tokens/s "
        "for one row",
        soft_wrap=True,
    )
    console.print(
        f"{facts['model']}, {facts['input_tokens']} tokens in, {facts['output_tokens']} out at most, "
        f"{facts['rounds']} rounds in turns; "
        "first token, per token, longest stall and whole answer in ms, "
        f"p50 where nothing is said; {facts['threads']} threads; {facts['machine']}, "
        f"{facts['idle_cores_before']:.1f} cores idle before",
        soft_wrap=True,
    )
    console.print(f"The picture: {facts['picture']}", soft_wrap=True)


def load_of(row: Mapping[str, Any]) -> str:
    """`8 users`, `2/s`"""
    if "users" in row:
        return f"{row['users']} user{'s' if row['users'] > 1 else ''}"
    return f"{row['rate']:g}/s"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def draw(facts: Mapping[str, Any], path: Path) -> None:
    """Throughput over the latency that 95 of 100 requests keep: a line an engine, a dot a load."""
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    for engine in dict.fromkeys(row["engine"] for row in facts["rows"]):
        rows = [row for row in facts["rows"] if row["engine"] == engine and row["whole_ms_p95"]]
        seconds = [row["whole_ms_p95"] / 1000 for row in rows]
        (line,) = axes.plot(seconds, [row["tokens_per_second"] for row in rows], "o-", label=engine)
        for row, x in list(zip(rows, seconds, strict=True))[:: max(1, len(rows) - 1)]:  # both ends
            axes.annotate(
                load_of(row),
                (x, row["tokens_per_second"]),
                xytext=(5, -9),
                textcoords="offset points",
                fontsize=7,
                color=line.get_color(),
            )
    axes.set_xlabel(f"seconds for {facts['output_tokens']} tokens, p95")
    axes.set_ylabel("tokens/s, all users together")
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title(f"{facts['model']}: {facts['input_tokens']} tokens in", fontsize=10)
    figure.savefig(path, dpi=120, format="png")

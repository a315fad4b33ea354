"""The tables of the commands that measure, and the picture of `bench`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.cli import Console, plain_table
from shared.report.record import new_figure
from step5_serving.bench.engines import load_of
from step5_serving.cli.screens import number


def show_engines(facts: Mapping[str, Any], console: Console) -> None:
    """A row for each engine and load, and the ratios."""
    names = ("load", "tokens/s", "first", "p95", "per\ntoken", "whole\np95")
    times = ("first_ms_p50", "first_ms_p95", "token_ms_p50", "whole_ms_p95")
    table = plain_table("engine", *names, right=names)
    for row in facts["rows"]:
        speed = number(row["tokens_per_second"], 1)
        table.add_row(row["engine"], load_of(row), speed, *(number(row[name], 0) for name in times))
    console.print(table)
    ratios = {"ratio": "tokens/s", "first": "first token sooner", "token": "others"}
    for row in facts["ratios"]:
        shown = ", ".join(
            f"{what} {row[name]:.2f} times ({row[f'{name}_lowest']:.2f} to {row[f'{name}_highest']:.2f})"
            for name, what in ratios.items()
        )
        console.print(f"{row['engine']} / {row['over']} with {load_of(row)}: {shown}", soft_wrap=True)
    errors = {row["engine"]: row["errors"] for row in facts["rows"] if row["errors"]}
    if errors:
        console.print(f"requests that failed: {errors}")
    console.print(
        f"{facts['model']}, {facts['input_tokens']} tokens in, {facts['output_tokens']} out at most, "
        f"rounds in turns: {facts['rounds']}; first token, per token and whole answer in ms, p50 where no "
        f"other is named; {facts['machine']}, {facts['idle_cores_before']:.1f} cores idle before\n"
        f"picture: {facts['picture']}",
        soft_wrap=True,
    )


def draw_engines(facts: Mapping[str, Any], path: Path) -> None:
    """Throughput over the p95 of the whole answer: a line for each engine, a dot for each load."""
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    for engine in dict.fromkeys(row["engine"] for row in facts["rows"]):
        rows = [row for row in facts["rows"] if row["engine"] == engine and row["whole_ms_p95"]]
        points = [(row["whole_ms_p95"] / 1000, row["tokens_per_second"]) for row in rows]
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", label=engine)
        for row, point in zip(rows, points, strict=True):
            axes.annotate(load_of(row), point, xytext=(5, -9), textcoords="offset points", fontsize=7)
    axes.set_xlabel(f"seconds for {facts['output_tokens']} tokens, p95")
    axes.set(ylabel="tokens/s, all users together", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title(f"{facts['model']}: {facts['input_tokens']} tokens in", fontsize=10)
    figure.savefig(path, dpi=120, format="png")


def show_quantize(facts: Mapping[str, Any], console: Console) -> None:
    """A row for each format."""
    names = ("weights MB", "tokens/s", "perplexity", "answers changed")
    table = plain_table("", *names, right=names)
    for row in facts["rows"]:
        if "left_out" in row:
            table.add_row(row["way"], "-", "-", "-", row["left_out"])
        else:
            size, speed = number(row["weights_mb"], 0), number(row["tokens_per_second"], 1)
            changed = f"{row['changed']} of {row['answers']}"
            table.add_row(row["way"], size, speed, number(row["perplexity"], 2), changed)
    console.print(table)
    console.print(
        f"\n{facts['model']} ({facts['weights']}); perplexity over {facts['tokens_read']} tokens, answers of "
        f"{facts['tokens_written']} tokens at most, batch size 1; {facts['threads']} threads; "
        f"{facts['machine']}, {facts['idle_cores_before']:.1f} cores idle before",
        soft_wrap=True,
    )


def show_capacity(facts: Mapping[str, Any], console: Console) -> None:
    """A row for each number of users."""
    names = ("users", "asked a second", "machines", "busy", "$ a month", "API: $ a month")
    table = plain_table(*names, right=names)
    for row in facts["rows"]:
        counts = f"{row['users']:,}", f"{row['asked']:,.2f}", f"{row['machines']:,}"
        prices = f"{row['usd_per_month']:,.0f}", f"{row['api_usd_per_month']:,.0f}"
        table.add_row(*counts, f"{100 * row['busy']:.0f} %", *prices)
    console.print(table)
    console.print(f"API: {facts['api_model']}\n{facts['headline']}")

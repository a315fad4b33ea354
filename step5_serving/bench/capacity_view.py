"""What `capacity` shows: the facts, the table, the arithmetic of one line in words, and the picture."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import catalog
from shared.errors import UserError
from shared.report.record import picture_path
from step5_serving.bench.capacity import (
    HOURS,
    MOST,
    Machine,
    Need,
    break_even,
    machine_of,
    read_bench,
    row,
)

if TYPE_CHECKING:
    from rich.console import Console

USERS = (10, 100, 1_000, 10_000, 100_000)


def run(
    bench: Path,
    need: dict[str, Any],
    users: Sequence[int] = USERS,
    engine: str | None = None,
    model: str | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """The table for these numbers of users.

    Args:
        need: of a Need; what is None there comes from the bench.
        engine: of the bench; None: the one that does the most.
        model: whose price at the API to compare with; None: the usual Claude.

    Raises:
        UserError: no bench in that file, no such engine in it, or a value that is not allowed.
    """
    measured = read_bench(bench)
    given = {name: value for name, value in need.items() if value is not None}
    tokens: dict[str, Any] = {
        "tokens_in": measured.get("input_tokens"),
        "tokens_out": measured["output_tokens"],
    }
    wanted = Need(**{**tokens, **given})
    if any(not 1 <= each <= MOST for each in users) or not users:
        raise UserError(f"--users must be numbers from 1 to {MOST:,}, with commas between")
    picture = picture_path("step5_serving", "capacity", out)
    machine = machine_of(measured, wanted.tokens_out, engine)
    spec = catalog.lookup(model or catalog.default("claude").id)
    per_call = None
    if spec.price and wanted.tokens_in is not None:
        per_call = spec.price.cost(wanted.tokens_in, round(wanted.tokens_out))
    rows = [row(machine, each, wanted, per_call) for each in sorted(users)]
    facts = {
        "command": "step5_serving capacity",
        "headline": headline(rows, machine),
        "engine": machine.engine,
        "bench": {name: measured.get(name) for name in ("model", "machine", "input_tokens", "output_tokens")},
        "measured": [{"at_once": n, "tokens_per_second": speed} for n, speed in machine.points],
        "need": {**vars(wanted)},
        "questions_per_second": machine.capacity,
        "api": {
            "model": spec.id,
            "usd_per_question": per_call,
            "input_usd_per_million": spec.price.input if spec.price else None,
            "output_usd_per_million": spec.price.output if spec.price else None,
            "date": spec.price.date if spec.price else None,
        },
        "rows": rows,
        "break_even_users": break_even(machine, wanted, per_call),
        "picture": str(picture),
    }
    draw(facts, machine, wanted, picture)
    return facts


def headline(rows: Sequence[dict[str, Any]], machine: Machine) -> str:
    """The one line that counts."""
    last = rows[-1]
    if last["machines"] is None:
        return f"{machine.engine}: one question alone takes longer than --within allows"
    return (
        f"{last['users']:,} users: {last['machines']:,} machines with {machine.engine}, "
        f"p95 {last['seconds_p95']:.1f} s"
    )


def show(facts: Mapping[str, Any], console: Console) -> None:
    """A row for each number of users; then how the middle one came about."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    own = ("users", "asked\na second", "machines", "busy", "mean\ns", "p95\ns", "$ a\nmonth", "$ for\n1,000")
    for name in (*own, "API: $\na month", "$ for\n1,000"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in facts["rows"]:
        busy = each["utilisation"]
        table.add_row(
            f"{each['users']:,}",
            f"{each['questions_per_second']:.2f}",
            "-" if each["machines"] is None else f"{each['machines']:,}",
            "-" if busy is None else f"{100 * busy:.0f} %",
            _number(each["seconds_mean"], 1),
            _number(each["seconds_p95"], 1),
            _number(each["usd_per_month"], 0),
            _number(each["usd_per_1000"], 2),
            _number(each["api_usd_per_month"], 0),
            _number(each["api_usd_per_1000"], 2),
        )
    console.print(table)
    console.print(
        f"engine {facts['engine']} on {facts['bench']['machine']}; API: {facts['api']['model']}",
        style="dim",
        soft_wrap=True,
    )
    console.print("\nthe middle line, by hand:")
    for line in arithmetic(facts):
        console.print(f"  {line}", soft_wrap=True)
    if facts["break_even_users"] is not None:
        console.print(
            f"\nFrom about {facts['break_even_users']:,} users on, machines cost less than "
            f"{facts['api']['model']}; the answers are not the same.",
            soft_wrap=True,
        )
    console.print(f"\npicture: {facts['picture']}", style="dim", soft_wrap=True)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def arithmetic(facts: Mapping[str, Any]) -> list[str]:
    """How the row in the middle came about, with its numbers."""
    each, need, api = facts["rows"][len(facts["rows"]) // 2], facts["need"], facts["api"]
    users, rate, n = each["users"], each["questions_per_second"], each["machines"]
    at, speed = (facts["measured"][-1][name] for name in ("at_once", "tokens_per_second"))
    one = facts["questions_per_second"]
    lines = [
        f"{users:,} users x {need['questions_per_user_hour']:g} questions an hour / 3600 = "
        f"{rate:.3g} questions/s",
        f"one machine ({facts['engine']}, {at} at once): {speed:.1f} tokens/s / {need['tokens_out']:g} = "
        f"{one:.3g} questions/s; {100 * need['target']:.0f} % of it: {need['target'] * one:.3g}",
    ]
    if n is None:
        return [
            *lines,
            f"one question alone takes longer than {need['within']:g} s: no number of machines helps",
        ]
    exact = rate / (need["target"] * one)
    more = f", and {n:,} for {need['within']:g} s" if need["within"] and n > max(1, exact + 1) else ""
    lines += [
        f"{rate:.3g} / {need['target'] * one:.3g} = {exact:.2f} machines{more}: {n:,}, "
        f"each {100 * each['utilisation']:.0f} % busy",
        f"Little: {rate / n:.3g} questions/s x {each['seconds_mean']:.2f} s = {each['in_each']:.2f} "
        "in each machine on average",
    ]
    questions = each["questions_per_month"]
    if each["usd_per_month"] is not None:
        lines.append(
            f"{n:,} x ${need['price_per_hour']:g} x {HOURS:g} h = ${each['usd_per_month']:,.0f} a month; "
            f"/ {questions:,.0f} questions ({need['busy_hours']:g} busy hours) x 1,000 = "
            f"${each['usd_per_1000']:.3g}"
        )
    else:
        lines.append("a machine's price is unknown: give it with --price-per-hour")
    if api["usd_per_question"] is not None:
        lines.append(
            f"{api['model']}: ({need['tokens_in']:g} x ${api['input_usd_per_million']:g} + "
            f"{need['tokens_out']:g} x ${api['output_usd_per_million']:g}) / 1,000,000 = "
            f"${api['usd_per_question']:.3g} a question (prices of {api['date']})"
        )
    else:
        lines.append(f"{api['model']}: its price, or the tokens of a prompt, are unknown")
    return lines


def draw(facts: Mapping[str, Any], machine: Machine, need: Need, path: Path) -> None:
    """Left, how waiting grows as a machine fills up; right, machines or dollars over users."""
    os.environ["MPLBACKEND"] = "agg"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    shares = [each / 100 for each in range(2, 97, 2)]
    found = [machine.times(share * machine.capacity) for share in shares]
    left.plot(shares, [each[1] if each else None for each in found], label="mean")
    left.plot(shares, [each[2] if each else None for each in found], label="p95")
    left.axvline(need.target, color="gray", linestyle=":", label=f"target {need.target:g}")
    left.set_xlabel("share of what one machine can do")
    left.set_ylabel("seconds for an answer")
    left.set_title(f"{facts['engine']}: {machine.capacity:.2f} questions/s at most", fontsize=10)
    left.set_ylim(bottom=0)

    api = facts["api"]["usd_per_question"]
    users = [round(10 ** (each / 10)) for each in range(10, 51)]
    rows = [row(machine, each, need, api) for each in users]
    what = "usd_per_month" if need.price_per_hour is not None else "machines"
    lines = {f"machines, {facts['engine']}": [each[what] for each in rows]}
    if what == "usd_per_month":
        lines[facts["api"]["model"]] = [each["api_usd_per_month"] for each in rows]
    for label, values in lines.items():
        if any(values):  # else unknown, or free
            right.plot(users, [each or math.nan for each in values], drawstyle="steps-mid", label=label)
            right.set_yscale("log")
    right.set_xscale("log")
    right.set_xlabel(f"users, {need.questions_per_user_hour:g} questions an hour each")
    right.set_ylabel("$ a month" if what == "usd_per_month" else "machines")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=120, format="png")

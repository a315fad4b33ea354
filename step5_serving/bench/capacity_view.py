"""What `capacity` shows: the facts, the table, and the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import catalog
from shared.cli import plain_table
from shared.errors import UserError
from shared.report.record import new_figure, picture_path
from step5_serving.bench.capacity import Machine, Need, machine_of, read_bench, row

if TYPE_CHECKING:
    from rich.console import Console

USERS = (10, 100, 1_000, 10_000, 100_000)


def run(
    bench: Path,
    need: Mapping[str, Any],
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
        UserError: no bench in that file, no such engine in it, or a number of users that is not allowed.
    """
    measured = read_bench(bench)
    if not users or min(users) < 1 or max(users) > 1_000_000:
        raise UserError("--users must be numbers from 1 to 1,000,000, separated by commas")
    tokens: dict[str, Any] = {
        "tokens_in": measured.get("input_tokens"),
        "tokens_out": measured["output_tokens"],
    }
    wanted = Need(**{**tokens, **{name: value for name, value in need.items() if value is not None}})
    picture = picture_path("step5_serving", "capacity", out)
    machine = machine_of(measured, wanted.tokens_out, engine)
    spec = catalog.lookup(model or catalog.default("claude").id)
    per_call = None
    if spec.price and wanted.tokens_in is not None:
        per_call = spec.price.cost(wanted.tokens_in, round(wanted.tokens_out))
    rows = [row(machine, each, wanted, per_call) for each in sorted(users)]
    draw(machine, wanted, spec.id, per_call, picture)
    return {
        "command": "step5_serving capacity",
        "headline": headline(rows[-1], machine),
        "engine": machine.engine,
        "bench": {name: measured.get(name) for name in ("model", "machine", "input_tokens", "output_tokens")},
        "measured": [{"at_once": n, "tokens_per_second": speed} for n, speed in machine.points],
        "need": {**vars(wanted)},
        "questions_per_second": machine.capacity,
        "api": {"model": spec.id, "usd_per_question": per_call},
        "rows": rows,
        "picture": str(picture),
    }


def headline(last: Mapping[str, Any], machine: Machine) -> str:
    """The one line that counts."""
    if last["machines"] is None:
        return f"{machine.engine}: one question alone takes longer than --within allows"
    return (
        f"{last['users']:,} users: {last['machines']:,} machines with {machine.engine}, "
        f"p95 {last['seconds_p95']:.1f} s"
    )


def show(facts: Mapping[str, Any], console: Console) -> None:
    """A row for each number of users."""
    own = ("users", "asked\na second", "machines", "busy", "mean\ns", "p95\ns", "$ a\nmonth", "$ for\n1,000")
    names = (*own, "API: $\na month", "$ for\n1,000")
    table = plain_table(*names, right=names)
    table.padding = (0, 1, 0, 0)
    for each in facts["rows"]:
        busy = each["utilisation"]
        table.add_row(
            f"{each['users']:,}",
            f"{each['questions_per_second']:.2f}",
            _number(each["machines"], 0),
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
    console.print(f"\n{facts['headline']}\npicture: {facts['picture']}", soft_wrap=True)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def draw(machine: Machine, need: Need, model: str, api_usd: float | None, path: Path) -> None:
    """Left, how waiting grows as a machine fills up; right, machines or dollars over users."""
    figure = new_figure(9.0, 3.8)
    left, right = figure.subplots(1, 2)
    shares = [each / 100 for each in range(2, 97, 2)]
    found = [machine.times(share * machine.capacity) for share in shares]
    left.plot(shares, [each[1] if each else None for each in found], label="mean")
    left.plot(shares, [each[2] if each else None for each in found], label="p95")
    left.axvline(need.target, color="gray", linestyle=":", label=f"target {need.target:g}")
    left.set(xlabel="share of what one machine can do", ylabel="seconds for an answer", ylim=(0, None))
    left.set_title(f"{machine.engine}: {machine.capacity:.2f} questions/s at most", fontsize=10)

    users = [round(10 ** (each / 10)) for each in range(10, 51)]
    rows = [row(machine, each, need, api_usd) for each in users]
    what = "machines" if need.price_per_hour is None else "usd_per_month"
    lines = {f"machines, {machine.engine}": [each[what] for each in rows]}
    if what == "usd_per_month":
        lines[model] = [each["api_usd_per_month"] for each in rows]
    for label, values in lines.items():
        if any(values):  # else unknown, or free
            right.plot(users, [each or math.nan for each in values], drawstyle="steps-mid", label=label)
            right.set_yscale("log")
    right.set(xscale="log", ylabel="machines" if what == "machines" else "$ a month")
    right.set_xlabel(f"users, {need.questions_per_user_hour:g} questions an hour each")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=120, format="png")

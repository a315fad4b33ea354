"""What `evaluate` measured: shares with their 95 % intervals, as facts, as a table and as a picture.

    >>> summary(outcomes)["right_tool"]
    {'hits': 92, 'n': 100, 'share': 0.92, 'interval_95': [0.85, 0.959]}

Intervals are Wilson's, each condition for itself. Where two overlap, the same questions may still tell the
conditions apart (a paired test); that is not computed here.
"""

from __future__ import annotations

import json
import os
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.stats import wilson
from step2_tools.conditions import Reply
from step2_tools.scoring import Score

if TYPE_CHECKING:
    from rich.console import Console

SHARES = {
    "valid": "valid calls",
    "right_tool": "right tool",
    "right_arguments": "right arguments",
    "needless": "needless calls",
}
COLOURS = {
    "valid": "tab:gray",
    "right_tool": "tab:orange",
    "right_arguments": "tab:blue",
    "needless": "tab:red",
}


@dataclass(frozen=True)
class Outcome:
    """One question, asked in one way. No reply: the request failed, for the reason in `error`."""

    item: Any
    reply: Reply | None
    error: str | None
    score: Score
    seconds: float


def share(hits: int, n: int) -> dict[str, Any]:
    """A share of n questions with its interval."""
    return {
        "hits": hits,
        "n": n,
        "share": round(hits / n, 4),
        "interval_95": [round(bound, 3) for bound in wilson(hits, n)],
    }


def percent(found: dict[str, Any]) -> str:
    """`92% (85-96)`"""
    low, high = found["interval_95"]
    return f"{found['share']:.0%} ({low:.0%}-{high:.0%})".replace("%-", "-").replace("%)", ")")


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of one condition; what a failed request would have cost is unknown, so not in the means."""
    n = len(outcomes)
    replies = [each.reply for each in outcomes if each.reply]

    def mean(values: list[int]) -> float | None:
        return round(statistics.mean(values), 1) if values else None

    return {
        "n": n,
        **{name: share(sum(bool(getattr(each.score, name)) for each in outcomes), n) for name in SHARES},
        "needless_calls": sum(each.score.needless for each in outcomes),
        "missing_calls": sum(each.score.missing for each in outcomes),
        "turns": mean([reply.turns for reply in replies]),
        "input_tokens": mean([reply.input_tokens for reply in replies]),
        "output_tokens": mean([reply.output_tokens for reply in replies]),
        "seconds": round(statistics.median(each.seconds for each in outcomes), 3),
        "failed_requests": n - len(replies),
        "errors": dict(Counter(each.error for each in outcomes if each.error)),
    }


def by_kind(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Right tool and right arguments for each kind of question."""
    kinds: dict[str, list[Outcome]] = {}
    for each in outcomes:
        kinds.setdefault(each.item["kind"], []).append(each)
    return {
        kind: {
            name: share(sum(getattr(each.score, name) for each in group), len(group))
            for name in ("right_tool", "right_arguments")
        }
        for kind, group in kinds.items()
    }


def show(facts: dict[str, Any], console: Console) -> None:
    """Conditions, kinds of questions, and some of what went wrong, for people."""
    table = _table("", "n", *SHARES.values(), "turns", "tokens in", "tokens out", "s")
    for name, row in facts["conditions"].items():
        means = [
            "-" if row[key] is None else f"{row[key]:.{digits}f}"
            for key, digits in (("turns", 1), ("input_tokens", 0), ("output_tokens", 0))
        ]
        shares = [percent(row[key]) for key in SHARES]
        table.add_row(name, str(row["n"]), *shares, *means, f"{row['seconds']:.2f}")
    console.print(table)
    for name, why in facts["refused"].items():
        console.print(f"{name}: given up, the first requests failed: {why}", soft_wrap=True)
    for name, row in facts["conditions"].items():
        for why, times in row["errors"].items():
            console.print(f"{name}: {times} of {row['n']} requests failed: {why}", soft_wrap=True)
    if facts.get("by_kind"):
        kinds = _table("native, by kind", "n", "right tool", "right arguments")
        for kind, row in facts["by_kind"].items():
            shares = [percent(row[key]) for key in ("right_tool", "right_arguments")]
            kinds.add_row(kind, str(row["right_tool"]["n"]), *shares)
        console.print()
        console.print(kinds)
    _show_wrong(facts["wrong"], console)
    if facts["stopped"]:
        console.print("\nstopped by Ctrl-C: these are the questions that were asked until then")
    console.print(
        f"\n{facts['data']}, {facts['model']}; shares with 95% intervals, means of turns and tokens, median "
        f"of seconds; {facts['machine']}",
        soft_wrap=True,
    )
    if "picture" in facts:
        console.print(f"The picture: {facts['picture']}", soft_wrap=True)


def _table(*names: str) -> Any:
    from rich.table import Table

    # One word above the other, so that a row fits on 100 characters.
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for i, name in enumerate(names):
        table.add_column(
            name.replace(" ", "\n") if i else name, justify="right" if i else "left", no_wrap=not i
        )
    return table


def _show_wrong(wrong: list[dict[str, Any]], console: Console, most: int = 5) -> None:
    if not wrong:
        return
    first = [each for each in wrong if each["condition"] == wrong[0]["condition"]]
    console.print(
        f"\n{min(most, len(first))} of {len(first)} wrong answers, {first[0]['condition']}", style="bold"
    )
    for each in first[:most]:
        got = each.get("error") or (
            each["text"] if each["calls"] is None else json.dumps(each["calls"], ensure_ascii=False)
        )
        console.print(f"{each['id']}  {each['question']}\n    {' '.join(got.split())[:300]}", soft_wrap=True)


def draw(facts: dict[str, Any], path: Path) -> None:
    """The shares of every condition as dots with their intervals; beside them native by kind of question."""
    os.environ["MPLBACKEND"] = "agg"  # whatever the user's is: nothing is shown on a screen
    from matplotlib.figure import Figure

    parts = [(f"{facts['data']}, by way of asking", facts["conditions"])]
    if facts.get("by_kind"):
        parts.append(("native, by kind of question", facts["by_kind"]))
    rows = max(len(part) for _, part in parts)
    figure = Figure(figsize=(6.5 * len(parts), 1.6 + 0.45 * rows), layout="constrained")
    for axis, (title, part) in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        names = [name for name in COLOURS if name in next(iter(part.values()))]
        for j, name in enumerate(names):
            found = [row[name] for row in part.values()]
            shares = [each["share"] for each in found]
            spread = [
                [max(0.0, each["share"] - each["interval_95"][0]) for each in found],
                [max(0.0, each["interval_95"][1] - each["share"]) for each in found],
            ]
            places = [i + 0.18 * (j - (len(names) - 1) / 2) for i in range(len(found))]
            axis.errorbar(shares, places, xerr=spread, fmt="o", color=COLOURS[name], label=SHARES[name], ms=5)
        axis.set_yticks(
            range(len(part)), [f"{name.replace('_', ' ')} (n={_n(row)})" for name, row in part.items()]
        )
        axis.set_ylim(len(part) - 0.5, -0.5)
        axis.set_xlim(-0.02, 1.02)
        axis.xaxis.set_major_formatter("{x:.0%}")
        axis.grid(axis="x", alpha=0.3)
        axis.set_title(title, parse_math=False)  # a $ in a name is no formula
    figure.axes[0].legend(fontsize=8, loc="best")
    figure.suptitle(f"{facts['model']}: share of questions, 95% intervals", fontsize=10, parse_math=False)
    figure.savefig(path, dpi=120, format="png")


def _n(row: dict[str, Any]) -> int:
    return row["right_tool"]["n"]

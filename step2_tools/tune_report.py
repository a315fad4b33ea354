"""What `optimize` found: before and after on the same questions, as facts, as one line and as a table.

    >>> compare(before, after, "right_tool")
    {'before': {...}, 'after': {...}, 'difference': 0.02, 'interval_95': [-0.02, 0.07],
     'gained': 4, 'lost': 2, 'p': 0.69}

Every question is asked both times, so what counts are the pairs that changed: the interval of the difference
is a bootstrap over questions, p is McNemar's. The dev questions chose the prompt: a gain there is no proof.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared import stats
from step2_tools import figures
from step2_tools.figures import percent, share

if TYPE_CHECKING:
    from rich.console import Console


def compare(
    before: Sequence[figures.Outcome], after: Sequence[figures.Outcome], metric: str
) -> dict[str, Any]:
    """Shares before and after, and what the pairs say: each question is asked both times."""
    facts: dict[str, Any] = {
        name: {
            key: share(sum(getattr(each.score, key) for each in outcomes), len(outcomes))
            for key in ("right_tool", "right_arguments")
        }
        for name, outcomes in (("before", before), ("after", after))
    }
    pairs = [(getattr(a.score, metric), getattr(b.score, metric)) for a, b in zip(before, after, strict=True)]
    changes = [float(b) - float(a) for a, b in pairs]
    gained, lost = changes.count(1.0), changes.count(-1.0)
    interval = stats.bootstrap(changes)
    return facts | {
        "difference": round(statistics.mean(changes), 4),
        "interval_95": interval and [round(bound, 3) for bound in interval],
        "gained": gained,
        "lost": lost,
        "p": float(f"{stats.sign_test(gained, lost):.2g}"),
    }


def headline(facts: dict[str, Any], before: Sequence[figures.Outcome], metric: str) -> str:
    what = metric.replace("_", " ")
    end = f"; ended early: {facts['ended']}" if facts["ended"] else ""
    if facts["test"] is None:
        kept = share(sum(getattr(each.score, metric) for each in before), len(before))
        why = "not compared"
        if facts["dev"]["after"] == facts["dev"]["before"]:
            why = "nothing better found on dev"
        if facts["dev"]["before"]["share"] == 1:
            why = "and every question of dev is right already: there is nothing to learn from"
        return f"{facts['prompt']}: {what} in {percent(kept)} of {len(before)} test questions, {why}{end}"
    pair = facts["test"]
    old, new = pair["before"][metric], pair["after"][metric]
    return (
        f"{facts['prompt']}: {what} in {percent(old)} of {old['n']} test questions before, {percent(new)} "
        f"after (p = {pair['p']:.2g}){end}"
    )


def show(facts: dict[str, Any], console: Console) -> None:
    """Before and after, on both splits, and what may be made of it."""
    from rich.table import Table

    metric, pair = facts["metric"], facts["test"]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in (metric.replace("_", " "), "n", "before", "after"):
        table.add_column(name, justify="left" if name == metric.replace("_", " ") else "right")
    dev = facts["dev"]
    table.add_row(
        "dev (chosen on these)", str(dev["after"]["n"]), percent(dev["before"]), percent(dev["after"])
    )
    if pair:
        n = str(pair["after"][metric]["n"])
        table.add_row("test (held out)", n, percent(pair["before"][metric]), percent(pair["after"][metric]))
    console.print(table)
    if pair:
        low, high = (f"{100 * bound:.0f}" for bound in pair["interval_95"] or (0, 0))
        verdict = "a gain" if pair["difference"] > 0 else "a loss"
        if pair["p"] >= 0.05:
            verdict = "so many questions cannot tell this from chance"
        console.print(
            f"\non test {pair['gained']} more are right and {pair['lost']} no longer: "
            f"{100 * pair['difference']:+.0f} points ({low} to {high}), p = {pair['p']:.2g}: {verdict}",
            soft_wrap=True,
        )
        console.print(f"\n{facts['diff']}", soft_wrap=True)
    for why, times in facts["errors"].items():
        console.print(f"{times} requests of the search failed: {why}", soft_wrap=True)
    calls = facts["calls"]
    console.print(f"\n{facts['headline']}", soft_wrap=True)
    console.print(
        f"{facts['optimizer']}, {facts['candidates']} candidates, {calls['search']} calls in the search; "
        f"predicted at most {calls['predicted']['all']}, those on test included; "
        f"{facts['model']}; {facts['machine']}",
        soft_wrap=True,
    )
    if facts["saved"]:
        console.print(f"The new version: {facts['saved']}", soft_wrap=True)

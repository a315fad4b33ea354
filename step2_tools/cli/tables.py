"""What `evaluate` and `optimize` found, for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.cli import plain_table
from step2_tools.evaluate.results import SHARES, percent

if TYPE_CHECKING:
    from rich.console import Console


def show_evaluate(facts: dict[str, Any], console: Console) -> None:
    """Styles, kinds of questions, and some of what went wrong, for people."""
    table = _table("", "n", *SHARES.values(), "turns", "tokens in", "tokens out", "s")
    for name, row in facts["styles"].items():
        means = [
            "-" if row[key] is None else f"{row[key]:.{digits}f}"
            for key, digits in (("turns", 1), ("input_tokens", 0), ("output_tokens", 0))
        ]
        shares = [percent(row[key]) for key in SHARES]
        table.add_row(name, str(row["n"]), *shares, *means, f"{row['seconds']:.2f}")
    console.print(table)
    for name, why in facts["refused"].items():
        console.print(f"{name}: given up, the first requests failed: {why}", soft_wrap=True)
    for name, row in facts["styles"].items():
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
    first = [each for each in wrong if each["style"] == wrong[0]["style"]]
    console.print(
        f"\n{min(most, len(first))} of {len(first)} wrong answers, {first[0]['style']}", style="bold"
    )
    for each in first[:most]:
        got = each.get("error") or (
            each["text"] if each["calls"] is None else json.dumps(each["calls"], ensure_ascii=False)
        )
        console.print(f"{each['id']}  {each['question']}\n    {' '.join(got.split())[:300]}", soft_wrap=True)


def show_optimize(facts: dict[str, Any], console: Console) -> None:
    """Before and after on both splits, and what the difference says."""
    metric, pair = facts["metric"].replace("_", " "), facts["test"]
    table = plain_table(metric, "n", "before", "after", right=("n", "before", "after"))
    rows = {"dev (chosen on these)": facts["dev"]} | ({"test (held out)": pair} if pair else {})
    for name, row in rows.items():
        table.add_row(name, str(row["after"]["n"]), percent(row["before"]), percent(row["after"]))
    console.print(table)
    if pair:
        low, high = (f"{100 * bound:.0f}" for bound in pair["interval_95"] or (0, 0))
        verdict = "a gain" if pair["difference"] > 0 else "a loss"
        if pair["p"] >= 0.05:
            verdict = f"with {pair['after']['n']} questions, this difference may be chance"
        console.print(
            f"\non test {pair['gained']} more are right and {pair['lost']} no longer: "
            f"{100 * pair['difference']:+.0f} points ({low} to {high}), p = {pair['p']:.2g}: {verdict}",
            soft_wrap=True,
        )
        console.print(f"\n{facts['diff']}", soft_wrap=True)
    for why, times in facts["errors"].items():
        console.print(f"{times} requests of the search failed: {why}", soft_wrap=True)
    console.print(f"\n{facts['headline']}", soft_wrap=True)
    console.print(
        f"{facts['optimizer']}, {facts['candidates']} sets of examples, {facts['search_calls']} calls in the "
        f"search; style {facts['style']}; {facts['model']}; {facts['machine']}",
        soft_wrap=True,
    )
    if facts["saved"]:
        console.print(f"The new version: {facts['saved']}", soft_wrap=True)


def show_answers(facts: dict[str, Any], console: Console) -> None:
    """How often the numbers were right, and what the guard replaced."""
    right, replaced = facts["right"], facts["replaced"]
    console.print(
        f"before the guard  {percent(right)} of {facts['n']} answers: numbers, and only those of a tool"
    )
    console.print(
        f"the guard         replaced {replaced['hits']} answers by the tools' own summaries; "
        f"{facts['seconds']:.1f} s a question"
    )
    for each in facts["wrong"][:5]:
        console.print(f"wrong  {each['question']}\n       {each['answer']}", style="dim", soft_wrap=True)


def show_caching(facts: dict[str, Any], console: Console) -> None:
    """One row a kind of prefix."""
    table = plain_table("", "tokens", "cached", "seconds", right=("tokens", "cached", "seconds"))
    for kind, row in facts["kinds"].items():
        table.add_row(kind, f"{row['tokens']:.0f}", f"{row['cached']:.0f}", f"{row['seconds']:.1f}")
    console.print(table)

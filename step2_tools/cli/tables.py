"""Prints the commands' results."""

import json
from typing import Any

from shared.cli import Console, plain_table
from shared.embedded.prompt import tools_as_text
from shared.embedded.wire import parse_tools
from shared.stats import percent
from shared.words import count
from step2_tools.evaluate.run import SHARES


def show_tools(facts: dict[str, Any], _console: Console) -> None:
    """The tools in the words of the embedded model's system message."""
    print(tools_as_text(parse_tools(facts["tools"])))


def show_evaluate(facts: dict[str, Any], console: Console) -> None:
    """Results by style and by kind of question, and some wrong answers."""
    rows = []
    for name, row in facts["styles"].items():
        tokens = [f"{row[key]:.0f}" for key in ("input_tokens", "output_tokens")]
        shares = [percent(row[key]) for key in SHARES]
        rows.append((name, str(row["n"]), *shares, *tokens, f"{row['seconds']:.2f}"))
    console.print(_narrow_table("", "n", *SHARES.values(), "tokens in", "tokens out", "s", rows=rows))
    if facts["by_kind"]:
        both = ("right_tool", "right_arguments")
        rows = [
            (kind, str(row["right_tool"]["n"]), *(percent(row[key]) for key in both))
            for kind, row in facts["by_kind"].items()
        ]
        kinds = _narrow_table("native, by kind", "n", *(SHARES[key] for key in both), rows=rows)
        console.print("", kinds, sep="\n")
    _show_wrong(facts["wrong"], console)
    console.print(
        f"\n{facts['model']}; shares with 95% intervals, means of tokens, median of seconds; "
        f"{facts['machine']}",
        soft_wrap=True,
    )


def _narrow_table(first: str, *names: str, rows: list[Any]) -> Any:
    """One word per line in the header, so that a row fits into 100 characters."""
    columns = [name.replace(" ", "\n") for name in names]
    return plain_table(first, *columns, rows=rows, right=columns, gap=1)


def _show_wrong(wrong: list[dict[str, Any]], console: Console) -> None:
    if not wrong:
        return
    first = [each for each in wrong if each["style"] == wrong[0]["style"]]
    title = f"\n{min(5, len(first))} of {len(first)} wrong answers, {first[0]['style']}"
    console.print(title, style="bold")
    for each in first[:5]:
        reply = each["text"] if each["calls"] is None else json.dumps(each["calls"], ensure_ascii=False)
        reply = " ".join(reply.split())
        console.print(f"{each['id']}  {each['question']}\n    {reply[:300]}", soft_wrap=True)


def show_optimize(facts: dict[str, Any], console: Console) -> None:
    """Right arguments before and after on both splits, and whether the difference may be chance."""
    pair = facts["test"]
    table = plain_table("right arguments", "n", "before", "after", right=("n", "before", "after"))
    rows = {"dev (chosen on these)": facts["dev"]} | ({"test (held out)": pair} if pair else {})
    for name, row in rows.items():
        table.add_row(name, str(row["after"]["n"]), percent(row["before"]), percent(row["after"]))
    console.print(table)
    if pair:
        low, high = (f"{100 * bound:.0f}" for bound in pair["interval_95"] or (0, 0))
        verdict = "a gain" if pair["difference"] > 0 else "a loss"
        if pair["p"] >= 0.05:
            verdict = f"with {count(pair['after']['n'], 'question')}, this difference may be chance"
        console.print(
            f"\non test {pair['gained']} more are right and {pair['lost']} no longer: "
            f"{100 * pair['difference']:+.0f} points ({low} to {high}), p = {pair['p']:.2g}: {verdict}",
            soft_wrap=True,
        )
    console.print(f"\n{facts['headline']}", soft_wrap=True)
    how = f"{facts['optimizer']}; style {facts['style']}; {facts['model']}; {facts['machine']}"
    console.print(how, soft_wrap=True)
    if facts["saved"]:
        console.print(f"The new version: {facts['saved']}", soft_wrap=True)


def show_answers(facts: dict[str, Any], console: Console) -> None:
    """How often the numbers were right, and how many answers the guard replaced."""
    right, replaced, seconds = percent(facts["right"]), facts["replaced"]["hits"], facts["seconds"]
    console.print(f"before the guard  {right} of {facts['n']} answers: numbers, and only those of a tool")
    console.print(f"the guard         replaced {replaced} answers by the tools' own summaries")
    console.print(f"median            {seconds:.1f} s a question")
    for each in facts["wrong"][:5]:
        console.print(f"wrong  {each['question']}\n       {each['answer']}", style="dim", soft_wrap=True)


def show_caching(facts: dict[str, Any], console: Console) -> None:
    """One row per kind of prefix."""
    table = plain_table("", "tokens", "cached", "seconds", right=("tokens", "cached", "seconds"))
    for kind, row in facts["kinds"].items():
        table.add_row(kind, f"{row['tokens']:.0f}", f"{row['cached']:.0f}", f"{row['seconds']:.1f}")
    console.print(table)


def show_injection(facts: dict[str, Any], console: Console) -> None:
    """One row per defence, one column per model: the share of attacks that failed, with 95 % interval."""
    held: dict[str, dict[str, str]] = {}
    for row in facts["table"]:
        held.setdefault(row["defence"], {})[row["model"]] = percent(row["held"])
    names = list(next(iter(held.values())))
    rows = [(defence, *shares.values()) for defence, shares in held.items()]
    console.print(plain_table(f"held, of {facts['n']}", *names, rows=rows, right=names))
    console.print("obedient: a script that does what it is told, the worst case", style="dim")

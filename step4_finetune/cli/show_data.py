"""What the commands for rows print."""

from collections.abc import Mapping
from textwrap import shorten
from typing import Any

from shared.cli import Console, plain_table

Facts = Mapping[str, Any]
EXAMPLES = 3  # shown of each finding
ROWS = 80  # characters of row ids before an example
COLOURS = {"not checked": "dim", "warning": "yellow", "error": "bold red"}


def rows(facts: Facts, console: Console) -> None:
    """One block a row."""
    from rich import box
    from rich.table import Table

    for row in facts["rows"]:
        console.print(" · ".join(filter(None, (row["id"], row["split"], row["topic"]))), style="bold")
        console.print(row["message"])
        for note in row["notes"]:
            console.print(f"- {note}", style="dim")
        table = Table(box=box.ROUNDED, show_lines=True, expand=True)
        names = [name for name in ("chosen", "rejected") if row[name] is not None]
        for name in names:
            table.add_column(name, ratio=1)
        table.add_row(*(row[name] for name in names))
        if row["broken"] is not None:
            table.add_row(*(_breaks(row["broken"][name]) for name in names))
        console.print(table, "")
    more = facts["found"] - len(facts["rows"])
    console.print(facts["headline"] + (f"; {more} more with --limit" if more else ""), soft_wrap=True)


def _breaks(broken: Facts) -> str:
    """The rules that a reply breaks, for a cell."""
    if not broken:
        return "keeps every rule"
    return "breaks " + "; ".join(f"{rule} ({why})" if why else rule for rule, why in broken.items())


def check(facts: Facts, console: Console) -> None:
    """One line a check; then examples and advice of those that found something."""
    table = plain_table("check", "", "found", "of", "what", right=("found", "of"))
    for each in facts["findings"]:
        number = "" if each["number"] is None else f"{each['number']:g}"
        of = "" if each["of"] is None else str(each["of"])
        colour = COLOURS.get(each["severity"], "")
        table.add_row(each["check"], each["severity"], number, of, each["unit"], style=colour)
    console.print(table)
    for each in facts["findings"]:
        if each["severity"] in ("warning", "error"):
            console.print(f"\n{each['severity']}: {each['check']}", style=COLOURS[each["severity"]])
            console.print("\n".join(f"  {line}" for line in _details(each)), soft_wrap=True)
    splits = ", ".join(f"{n} {split}" for split, n in facts["splits"].items())
    console.print(
        f"\n{facts['headline']} ({splits}; {facts['pairs']} with a rejected reply) of {facts['data']}, "
        f"fingerprint {facts['fingerprint']}",
        soft_wrap=True,
    )
    if facts["guide"] is None:
        console.print("no guide: label noise not checked; name one with --guide")


def _details(finding: Facts) -> list[str]:
    """Some examples, each after the rows that have it, and the advice."""
    ids: dict[str, list[str]] = {}
    for case in finding["cases"]:
        ids.setdefault(case["example"], []).append(case["id"])
    shown = list(ids.items())[:EXAMPLES]
    lines = [f"{shorten(', '.join(some), ROWS, placeholder=' ...')}: {example}" for example, some in shown]
    if len(ids) > len(shown):
        lines.append(f"and {len(ids) - len(shown)} more: --json names them")
    return [*lines, f"→ {finding['advice']}"]


def splits(facts: Facts, console: Console) -> None:
    """One line a split."""
    rows = [
        (split, f"{each['rows']:,}", each["fingerprint"], each["file"])
        for split, each in facts["splits"].items()
    ]
    console.print(plain_table("split", "rows", "fingerprint", "file", rows=rows, right=("rows",)))
    console.print(f"\n{facts['headline']}", soft_wrap=True)


def distill(facts: Facts, console: Console) -> None:
    """How many replies were kept, why others were not, and what it cost."""
    lines = [facts["headline"]]
    if facts["why"]:
        lines.append("filtered: " + ", ".join(f"{why} {n}" for why, n in facts["why"].items()))
    if facts["not_asked"]:
        lines.append(
            f"{facts['not_asked']} messages not asked: the budget of requests is used up; "
            "the same command continues with them"
        )
    lines.append(f"{facts['input_tokens']} tokens read, {facts['output_tokens']} written")
    lines += [
        f"{what}: {facts[key]}" for what, key in (("kept", "out"), ("filtered", "filtered_out")) if facts[key]
    ]
    console.print("\n".join(lines), soft_wrap=True)

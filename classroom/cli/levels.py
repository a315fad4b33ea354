"""The command `levels`: which sandboxes this machine has, best first, and what each of them stops.

    python -m classroom levels

    sandlock    safe      works; taken, unless --isolation names another
    rlimits     NOT SAFE  works; went through when it was tried: solutions, writing, signals

Each is tried, not asked for: see isolation/. What a level stops where it works as it is meant is the table of
isolation/stops.py; what went through in the trial here is said beside the level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from shared.cli import Json

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"safe": "green", "NOT SAFE": "bold red"}


def register(app: typer.Typer) -> None:
    """Put the command in."""
    app.command(name="levels")(levels)


def levels(as_json: Json = False) -> None:
    """Say which isolation works here, best first, and what each level stops."""
    import json

    from shared.progress import spinner

    with spinner("trying the sandboxes"):
        facts = found()
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    from rich.console import Console

    show(facts, Console(highlight=False, markup=False))


def found() -> dict[str, Any]:
    """Each level as it is here, and what each is meant to stop."""
    from classroom.isolation import LEVELS, tried
    from classroom.isolation.place import Missing
    from classroom.isolation.stops import STOPS

    here = []
    for level in LEVELS:
        try:
            through = list(tried(level))
            safe = not through and level != "rlimits"
            here.append({"level": level, "works": True, "safe": safe, "let_through": through, "why": ""})
        except Missing as why:
            here.append({"level": level, "works": False, "safe": False, "let_through": [], "why": str(why)})
    return {"levels": here, "default": _default(), "stops": {what: list(by) for what, by in STOPS.items()}}


def _default() -> str | None:
    """The level that grading takes."""
    from classroom.isolation import best
    from shared.errors import UserError

    try:
        return best()
    except UserError:
        return None


def show(facts: dict[str, Any], console: Console) -> None:
    """The levels, then the table."""
    from rich.table import Table

    for each in facts["levels"]:
        word = "safe" if each["safe"] else "NOT SAFE" if each["works"] else "not here"
        told = each["why"] or "works"
        if each["let_through"]:
            told += f"; went through when it was tried: {', '.join(each['let_through'])}"
        if each["level"] == facts["default"]:
            told += "; taken, unless --isolation names another"
        line = f"{each['level']:<11} {word:<9} {told}"
        console.print(line, style=STYLES.get(word, "dim"), soft_wrap=True)
    console.print("\nwhat each stops, on Linux:", style="bold")
    names = [each["level"] for each in facts["levels"]]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", *names):
        table.add_column(column, no_wrap=True)
    for what, by in facts["stops"].items():
        table.add_row(what, *("stopped" if name in by else "NO" for name in names))
    console.print(table)

"""The command `demo`: a class of five, from the assignment to what goes back to them; see demo/demo.py."""

from pathlib import Path
from typing import Annotated, Any

import typer

from classroom.cli.options import Isolation
from shared.cli import Console, Json, emit, plain_table


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo writes.")] = Path(
        "reports/classroom"
    ),
    isolation: Isolation = None,
    as_json: Json = False,
) -> None:
    """Assign step 3, take five sample submissions, grade them, and write everything down."""
    from classroom.demo.demo import run

    facts = run(out, isolation)
    emit(facts, show, as_json=as_json)


def show(facts: dict[str, Any], console: Console) -> None:
    """Who got what, how the class did, and what to open."""
    from classroom.cli import grade_class

    columns = ["points", *facts["learners"][0]["points"]]
    table = plain_table("", *columns, "", right=columns)
    for each in facts["learners"]:
        score = "?" if each["score"] is None else str(each["score"])
        table.add_row(each["name"], score, *map(str, each["points"].values()), each["story"])
    console.print(table)
    console.print()
    grade_class.show(facts["class"], console)
    console.print(f"\nto open, in {facts['out']}:", style="bold", soft_wrap=True)
    width = max(map(len, facts["open"]))
    for name, what in facts["open"].items():
        console.print(f"   {name:{width}}   {what}", soft_wrap=True)

"""The command `assign`: make, prove, write, and say what was made."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from classroom.cli.options import Isolation
from shared.cli import Json, emit
from shared.errors import UserError
from shared.progress import spinner, stage_bar

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Put the command in."""
    app.command(name="assign")(assign)


def assign(
    step: Annotated[str, typer.Argument(help="step1 to step5.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="A new folder for the assignment.", show_default=False)
    ] = None,
    variant: Annotated[int, typer.Option(help="Seed for the numbers and names in this class's copy.")] = 0,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Check that the assignment can be solved and graded, and that it reveals no solution.",
        ),
    ] = False,
    with_others: Annotated[
        bool, typer.Option("--with-others", help="Keep the solutions of the other steps.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder if it exists.")] = False,
    isolation: Isolation = None,
    as_json: Json = False,
) -> None:
    """Make an assignment out of a step: a folder that stands alone, without the solutions."""
    facts = run(step, out, variant, check, with_others, force, isolation)
    emit(facts, lambda console: show(facts, console), as_json=as_json)
    if not facts["holds"]:
        sys.exit(1)


def run(
    step: str,
    out: Path | None,
    variant: int,
    check: bool,
    with_others: bool,
    force: bool,
    isolation: str | None,
) -> dict[str, Any]:
    """Make an assignment. With `check` it is written only if everything holds.

    Raises:
        UserError: there is nothing to do, or it can't be made.
    """
    from classroom.assignment.spec import assignment
    from classroom.handout.prove import prove
    from classroom.handout.starter import starter, write

    if out is None and not check:
        raise UserError("where to? name a new folder with --out, or only --check")
    a = assignment(step)
    if with_others:
        a = dataclasses.replace(a, others=())
    with spinner(f"making {a.number}"):
        files = starter(a, variant, with_others)
    rows = []
    if check:
        with stage_bar("checking", 4) as on_stage:
            rows = prove(a, files, variant, isolation, with_others, on_stage=on_stage)
    holds = all(row.holds for row in rows)
    if out is not None and holds:
        write(files, out, force)
    return {
        "command": "classroom assign",
        "headline": f"{a.number} as an assignment: {len(a.tasks)} exercises",
        "step": a.step,
        "title": a.title,
        "variant": variant,
        "exercises": [
            {"id": task.id, "title": task.exercise.title, "points": task.exercise.points, "files": task.files}
            for task in a.tasks
        ],
        "files": len(files),
        "checks": [dataclasses.asdict(row) for row in rows],
        "holds": holds,
        "out": str(out) if out is not None and holds else None,
    }


def show(facts: dict[str, Any], console: Console) -> None:
    """What was made, and what was held against it."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("exercise", "", "points", "in"):
        table.add_column(column, justify="right" if column == "points" else "left")
    for each in facts["exercises"]:
        table.add_row(each["id"], each["title"], str(each["points"]), ", ".join(each["files"]))
    console.print(f"{facts['title']}; variant {facts['variant']}, {facts['files']} files", style="bold")
    console.print(table)
    for row in facts["checks"]:
        mark, style = ("ok", "green") if row["holds"] else ("NO", "bold red")
        console.print(f"{mark}  {row['what']}: {row['detail']}", style=style, soft_wrap=True)
    if facts["out"]:
        console.print(f"written to {facts['out']}; learners begin with HANDOUT.md")
    elif not facts["holds"]:
        console.print("nothing was written")

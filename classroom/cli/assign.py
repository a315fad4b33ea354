"""The command `assign`: make, prove, write, and say what was made."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from classroom.cli.options import Isolation
from shared.cli import Console, Json, emit, plain_table
from shared.errors import UserError
from shared.launch import ExitCode
from shared.progress import spinner


def assign(
    step: Annotated[str, typer.Argument(help="step1 to step5.")],
    out: Annotated[Path | None, typer.Option(help="A new folder for the assignment.")] = None,
    variant: Annotated[int, typer.Option(help="Seed for the numbers and names in this class's copy.")] = 0,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Check that the assignment can be solved and graded, and that it reveals no solution.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder if it exists.")] = False,
    isolation: Isolation = None,
    as_json: Json = False,
) -> None:
    """Make an assignment out of a step: a folder that stands alone, without the solutions."""
    from classroom.assignment.spec import assignment
    from classroom.handout.prove import prove
    from classroom.handout.starter import starter, write

    if out is None and not check:
        raise UserError("where to? name a new folder with --out, or only --check")
    a = assignment(step)
    with spinner(f"making {a.number}"):
        files = starter(a, variant)
    rows = prove(a, files, variant, isolation) if check else []
    holds = all(row.holds for row in rows)
    if out is not None and holds:
        write(files, out, force)
    facts = {
        "command": "classroom assign",
        "headline": f"{a.number} as an assignment: {len(a.exercises)} exercises",
        "step": a.step,
        "title": a.title,
        "variant": variant,
        "exercises": [
            {"id": each.id, "title": each.title, "points": each.points, "files": each.files}
            for each in a.exercises
        ],
        "files": len(files),
        "checks": [dataclasses.asdict(row) for row in rows],
        "holds": holds,
        "out": str(out) if out is not None and holds else None,
    }
    emit(facts, show, as_json=as_json)
    if not holds:
        sys.exit(ExitCode.FAILED)


def show(facts: dict[str, Any], console: Console) -> None:
    """What was made, and what was held against it."""
    rows = [
        (each["id"], each["title"], str(each["points"]), ", ".join(each["files"]))
        for each in facts["exercises"]
    ]
    console.print(f"{facts['title']}; variant {facts['variant']}, {facts['files']} files", style="bold")
    console.print(plain_table("exercise", "", "points", "in", rows=rows, right=["points"]))
    for row in facts["checks"]:
        mark, style = ("ok", "green") if row["holds"] else ("NO", "bold red")
        console.print(f"{mark}  {row['what']}: {row['detail']}", style=style, soft_wrap=True)
    if facts["out"]:
        console.print(f"written to {facts['out']}; learners begin with HANDOUT.md")
    elif not facts["holds"]:
        console.print("nothing was written")

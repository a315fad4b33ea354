"""The command `assign`: make, prove, write, and say what was made."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classroom.assign import starter, write
from classroom.assignment import assignment
from classroom.prove import prove
from shared.errors import UserError
from shared.progress import spinner, stage_bar

if TYPE_CHECKING:
    from rich.console import Console


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
    if out is None and not check:
        raise UserError("where to? name a new folder with --out, or only --check")
    a = assignment(step)
    if with_others:
        a = dataclasses.replace(a, others=())
    with spinner(f"making {a.number}"):
        files = starter(a, variant, with_others)
    rows = []
    if check:
        with stage_bar("checking", 4) as heard:
            rows = prove(a, files, variant, isolation, with_others, heard=heard)
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

"""The command `grade`: grade one submission, show a table, write a file."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from classroom.cli.options import Isolation, Seed, Step, Variants
from shared.cli import Console, Json, plain_console, plain_table
from shared.errors import UserError, reason
from shared.progress import count_bar

if TYPE_CHECKING:
    from classroom.grading.result import Result, Test

STYLES = {"passed": "green", "partial": "yellow", "not attempted": "dim", "broken": "bold red"}
CALLS = 2  # of a failed test that are shown


def grade(
    submission: Annotated[Path, typer.Argument(help="A folder, a .zip or a .tar.gz.")],
    step: Step,
    seed: Seed = None,
    variant: Variants = None,
    out: Annotated[
        Path | None, typer.Option(help="File for the result: .md for the learner's report, else JSON.")
    ] = None,
    isolation: Isolation = None,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds for all tests together.")] = 120,
    as_json: Json = False,
) -> None:
    """Grade one submission with the hidden tests, in a sandbox."""
    from classroom.gradebook import feedback
    from classroom.grading import grade as grading
    from classroom.grading.draw import new_seed
    from classroom.grading.result import write_whole
    from classroom.intake.take import must_be_there
    from classroom.isolation import chosen

    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise UserError(f"--out {out}: name a file in a folder that exists")
    if isolation is not None:
        chosen(isolation)
    must_be_there(submission)
    seed = new_seed() if seed is None else seed
    tests = sum(len(each.marks) for each in grading.assignment_of(step).exercises)
    with count_bar(f"grading {submission.name}", tests) as update:
        done = itertools.count(1)
        result = grading.grade(
            *(submission, step, seed, variant or [0], isolation, seconds),
            on_outcome=lambda _outcome: update(next(done), tests),
        )
    if out is not None:
        try:
            write_whole(out, feedback.render(result) if out.suffix == ".md" else result.to_json())
        except OSError as error:
            raise UserError(f"{out} can't be written: {reason(error)}") from None
    if as_json:
        print(result.to_json(), end="")
        return
    show(result, plain_console())
    if out is not None:
        print(f"written to {out}")


def show(result: Result, console: Console) -> None:
    """Points by exercise, then what went wrong in each test that failed."""
    table = plain_table("exercise", "", "points", "of", "status", "why", right=("points", "of"))
    for item in result.items:
        why = " ".join(item.cause.split())[:120] if item.status != "not attempted" else ""
        row = (item.id, item.title, str(item.score), str(item.points), item.status, why)
        table.add_row(*row, style=STYLES.get(item.status, "red"))
    console.print(f"{result.submission}: {result.score} of {result.points} points", style="bold")
    console.print(table)
    for item in result.items:
        for test in item.tests:
            if test.status not in ("passed", "not attempted"):
                _show_test(item.id, test, console)
    for note in result.notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True)
    if result.output.strip():
        console.print("printed, at the end:", style="dim")
        console.print(result.output.strip()[-600:], style="dim", soft_wrap=True)
    how = f"isolation {result.isolation}" + ("" if result.safe else ", NOT SAFE for submitted code")
    console.print(
        f"{result.seconds:.1f} s, {how}, seed {result.seed}, variant {result.variant}",
        style="dim" if result.safe else "bold red",
        soft_wrap=True,
    )


def _show_test(id: str, test: Test, console: Console) -> None:
    console.print(f"{id} {test.line} ({test.score} of {test.points}, {test.visibility})", style="bold")
    console.print(f"   {test.status}: {' '.join(test.cause.split())}", soft_wrap=True)
    for call in test.calls[:CALLS]:
        console.print(f"   {call.call}", style="dim", soft_wrap=True)
        console.print(f"      got       {call.got}", style="dim", soft_wrap=True)
        if call.expected is not None:
            console.print(f"      expected  {call.expected}", style="dim", soft_wrap=True)

"""The command `grade`: one submission, a table for people, a file for programs."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from classroom.cli.options import Isolation, Step
from shared.cli import Json
from shared.errors import UserError
from shared.progress import count_bar

if TYPE_CHECKING:
    from rich.console import Console

    from classroom.grading.result import Result, Test
    from classroom.grading.runner import TestOutcome

STYLES = {"passed": "green", "partial": "yellow", "not attempted": "dim", "broken": "bold red"}
CALLS = 2  # of a failed test that are shown


def register(app: typer.Typer) -> None:
    """Put the command in."""
    app.command(name="grade")(grade)


def grade(
    submission: Annotated[Path, typer.Argument(help="A folder, a .zip or a .tar.gz.", show_default=False)],
    step: Step,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the hidden tests' inputs; default: a new one, which is recorded."),
    ] = None,
    variant: Annotated[
        list[int] | None,
        typer.Option(help="Seed with which the assignment was made; repeat it for several. Default: 0."),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="Format of the result: json, gradescope or markdown.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File or folder for the result.", show_default=False),
    ] = None,
    isolation: Isolation = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run only this test; repeat it for several. Default: all.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds for all tests together.")] = 120,
    as_json: Json = False,
) -> None:
    """Grade one submission with the hidden tests, in a sandbox."""
    run(submission, step, seed, variant or [0], format, out, isolation, seconds, as_json, only or [])


def run(
    submission: Path,
    step: str,
    seed: int | None,
    variants: list[int],
    format: str | None,
    out: Path | None,
    isolation: str | None,
    seconds: float,
    as_json: bool,
    only: Collection[str] = (),
) -> None:
    """Grade, write the file, and show the result.

    Raises:
        UserError: no such submission, step, format, isolation or folder.
    """
    from classroom.grading import grade as grading
    from classroom.intake.take import must_be_there
    from classroom.isolation import LEVELS
    from classroom.upload.formats import FORMATS, render

    if format is not None and format not in FORMATS:
        raise UserError(f"unknown format {format[:60]!r}; known are {', '.join(FORMATS)}")
    if out is not None and not (out if out.is_dir() else out.absolute().parent).is_dir():
        raise UserError(f"there is no folder {out.absolute().parent}")
    if isolation is not None and isolation not in LEVELS:
        raise UserError(f"unknown isolation {isolation[:60]!r}; known are {', '.join(LEVELS)}")
    must_be_there(submission)
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    tests = [mark for task in grading.assignment_of(step).tasks for mark in task.exercise.marks]
    if unknown := set(only) - {mark.test for mark in tests}:
        raise UserError(
            f"there is no test {min(unknown)!r}; {step} has {', '.join(mark.test for mark in tests)}"
        )
    with count_bar(f"grading {submission.name}", len(tests)) as update:
        done: list[TestOutcome] = []

        def on_outcome(outcome: TestOutcome) -> None:
            done.append(outcome)
            update(len(done), len(tests))

        result = grading.grade(
            submission, step, seed, variants, isolation, seconds, on_outcome, depends=not only, only=only
        )
    if out is not None:
        save(result, format or "json", out)
    if as_json:
        print(render(result, "json"), end="")
    elif format is not None and out is None:
        print(render(result, format), end="")
    else:
        from rich.console import Console

        show(result, Console(highlight=False, markup=False))
        if out is not None:
            print(f"written to {out}")


def save(result: Result, format: str, out: Path) -> None:
    """The result in a format, as a file of this name, or as what its readers look for in this folder."""
    from classroom.upload.formats import FORMATS, render

    out = out / FORMATS[format].file if out.is_dir() else out
    try:
        part = out.with_name(out.name + ".part")
        part.write_bytes(render(result, format).encode())
        part.replace(out)
    except OSError as error:
        raise UserError(f"{out} can't be written: {error.strerror}") from None


def show(result: Result, console: Console) -> None:
    """Points by exercise, then what went wrong in each test that failed."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("exercise", "", "points", "of", "status", "why"):
        table.add_column(column, justify="right" if column in ("points", "of") else "left")
    for item in result.items:
        style = STYLES.get(item.status, "red")
        why = " ".join(item.cause.split())[:120] if item.status != "not attempted" else ""
        table.add_row(item.id, item.title, str(item.score), str(item.points), item.status, why, style=style)
    console.print(f"{result.submission}: {result.score} of {result.points} points", style="bold")
    console.print(table)
    for item in result.items:
        for test in item.tests:
            if test.status not in ("passed", "not attempted", "blocked"):
                _show_test(item.id, test, console)
    for note in result.notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True)
    if result.output.strip():
        console.print("printed, at the end:", style="dim")
        console.print(result.output.strip()[-600:], style="dim", soft_wrap=True)
    how = f"isolation {result.isolation}" + ("" if result.safe else ", NOT SAFE for strangers' code")
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
        console.print(f"      came      {call.got}", style="dim", soft_wrap=True)
        if call.expected is not None:
            console.print(f"      expected  {call.expected}", style="dim", soft_wrap=True)

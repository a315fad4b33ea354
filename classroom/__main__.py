"""The classroom: make an assignment out of a step, grade what comes back.

    python -m classroom assign step3 --out assignment       a folder to hand out
    python -m classroom assign step3 --check                proof that it can be solved and gives nothing away
    python -m classroom grade submission.zip --step step3   one submission, in a sandbox, with hidden tests

Other commands are in files of their own, which put themselves in by `register(app)`: see COMMANDS.

exit 0    it worked: for grade, whatever the score
exit 1    assign --check found something
exit 2    something the user can put right
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Annotated

import typer

from shared.cli import Json, emit, new_app, run

COMMANDS = ("grade_class", "pack", "levels", "demo")  # modules here with `register(app)`, light to import

app = new_app("For instructors: assign a step, grade what comes back, survive every submission.")

Step = Annotated[str, typer.Option("--step", help="step1 to step5.", show_default=False)]
Isolation = Annotated[
    str | None,
    typer.Option(
        "--isolation", help="sandlock, bubblewrap, other-uid or rlimits; default: the best there is."
    ),
]


@app.command()
def assign(
    step: Annotated[str, typer.Argument(help="step1 to step5.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="A new folder for the assignment.", show_default=False)
    ] = None,
    variant: Annotated[int, typer.Option(help="Draws the numbers and names of a class's own copy.")] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Prove that it can be solved, graded, and gives nothing away.")
    ] = False,
    with_others: Annotated[
        bool, typer.Option("--with-others", help="Leave the solutions of other steps in.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder, if it is there.")] = False,
    isolation: Isolation = None,
    as_json: Json = False,
) -> None:
    """Make an assignment out of a step: a folder that stands alone, without the solutions."""
    from classroom import assigning

    facts = assigning.run(step, out, variant, check, with_others, force, isolation)
    emit(facts, lambda console: assigning.show(facts, console), as_json=as_json)
    if not facts["holds"]:
        sys.exit(1)


@app.command()
def grade(
    submission: Annotated[Path, typer.Argument(help="A folder, a .zip or a .tar.gz.", show_default=False)],
    step: Step,
    seed: Annotated[
        int | None, typer.Option(help="Of the hidden tests' inputs; default: a new one, which is recorded.")
    ] = None,
    variant: Annotated[
        list[int] | None, typer.Option(help="That was given out; several times for several. Default: 0.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="Of the file: json, gradescope, junit, markdown, ...")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where the result goes: a file, or a folder.", show_default=False),
    ] = None,
    isolation: Isolation = None,
    seconds: Annotated[float, typer.Option(min=1, help="For all tests together.")] = 120,
    as_json: Json = False,
) -> None:
    """Grade one submission with the hidden tests, in a sandbox."""
    from classroom import grading

    grading.run(submission, step, seed, variant or [0], format, out, isolation, seconds, as_json)


for name in COMMANDS:
    if importlib.util.find_spec(f"classroom.{name}"):
        importlib.import_module(f"classroom.{name}").register(app)


def main() -> None:
    run(app, "python -m classroom")


if __name__ == "__main__":
    main()

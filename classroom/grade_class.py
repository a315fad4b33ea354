"""The command `grade-class`: every submission of a folder, and everything that an instructor makes of them.

    python -m classroom grade-class submissions --step step3 --deadline 2026-12-01T23:59

    submissions-graded/class.csv          one row for each attempt
                       canvas.csv         for Canvas's "Import grades"
                       feedback/ada.md    to return
                       statistics.csv  .png   similarity.csv  .html
                       results/ada.json   everything; what a second run need not grade again
                       class.json         the step and the seed, the same for all

How submissions are to be named is in attempts.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from shared.cli import Json


def register(app: typer.Typer) -> None:
    """Put the command in."""
    app.command(name="grade-class")(grade_class)


def grade_class(
    folder: Annotated[
        Path, typer.Argument(help="Holds a folder or an archive for each submission.", show_default=False)
    ],
    step: Annotated[str, typer.Option("--step", help="step1 to step5.", show_default=False)],
    jobs: Annotated[
        int | None, typer.Option(min=1, max=256, help="Graded at a time; default: one for each core.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where everything goes; default: FOLDER-graded.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the hidden tests' inputs; default: drawn once, and kept.")
    ] = None,
    variant: Annotated[
        list[int] | None, typer.Option(help="That was given out; several times for several. Default: 0.")
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            help="2026-12-01T23:59, here or with +01:00 behind it: who came later is marked as late."
        ),
    ] = None,
    take: Annotated[
        Literal["best", "latest"], typer.Option(help="Which attempt counts for Canvas and the statistics.")
    ] = "best",
    assignment: Annotated[
        str | None, typer.Option(help="Its title in Canvas, or 'Title (id)'; default: the step's.")
    ] = None,
    similarity: Annotated[bool, typer.Option(help="Compare the submissions with each other.")] = True,
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Pairs that are told are similar to this share.")
    ] = 0.8,
    isolation: Annotated[
        str | None,
        typer.Option(help="sandlock, bubblewrap, other-uid or rlimits; default: the best there is."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="For all tests of a submission together; several share the cores.")
    ] = 240,
    as_json: Json = False,
) -> None:
    """Grade every submission of a folder; again from where it stopped, should it be stopped."""
    from classroom import class_report, class_run

    wish = class_run.Wish(
        folder=folder,
        step=step,
        home=out or folder.absolute().with_name(f"{folder.absolute().name}-graded"),
        jobs=jobs or class_run.cores(),
        seed=seed,
        variants=tuple(variant or [0]),
        deadline=deadline,
        isolation=isolation,
        seconds=seconds,
    )
    graded = class_run.run(wish)
    facts = class_report.write(graded, take, assignment, threshold if similarity else None)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        from rich.console import Console

        class_report.show(facts, Console(highlight=False, markup=False))

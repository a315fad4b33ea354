"""The command `pack`: a step's grader as an upload for a grading service; see upload/bundle.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from shared.cli import Json


def register(app: typer.Typer) -> None:
    """Put the command in."""
    app.command(name="pack")(pack)


def pack(
    service: Annotated[
        Literal["gradescope", "classroom50"], typer.Argument(help="What it is for.", show_default=False)
    ],
    step: Annotated[str, typer.Option("--step", help="step1 to step5.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", help="A .zip for Gradescope, a new folder else.", show_default=False)
    ],
    seed: Annotated[int | None, typer.Option(help="Of the hidden tests' inputs; default: drawn now.")] = None,
    variant: Annotated[
        list[int] | None, typer.Option(help="That was given out; several times for several. Default: 0.")
    ] = None,
    slug: Annotated[
        str | None, typer.Option(help="The assignment's name in Classroom 50; default: as step3-rag.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Pack a step's grader for Gradescope or Classroom 50."""
    from classroom.upload import bundle
    from shared.progress import spinner

    with spinner(f"packing {step}"):
        facts = bundle.run(service, step, out, seed, tuple(variant or [0]), slug)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    told = (
        f"{facts['files']} files, {facts['bytes'] / 1e6:.1f} MB, {facts['requirements']} packages to install"
    )
    print(f"{facts['out']}: {told}, seed {facts['seed']}")
    for note in facts["notes"]:
        print(f"note: {note}")

"""The command `pack`: a step's grader as an upload for Gradescope; see upload/bundle.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from classroom.cli.options import Step
from shared.cli import Json


def register(app: typer.Typer) -> None:
    """Put the command in."""
    app.command(name="pack")(pack)


def pack(
    service: Annotated[  # noqa: ARG001  (the only one)
        Literal["gradescope"], typer.Argument(help="The platform to pack for.", show_default=False)
    ],
    step: Step,
    out: Annotated[Path, typer.Option("--out", help="The .zip file to write.", show_default=False)],
    seed: Annotated[
        int | None, typer.Option(help="Seed of the hidden tests' inputs; default: drawn now.")
    ] = None,
    variant: Annotated[
        list[int] | None,
        typer.Option(help="Seed with which the assignment was made; repeat it for several. Default: 0."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Pack a step's grader for Gradescope."""
    from classroom.upload import bundle
    from shared.progress import spinner

    with spinner(f"packing {step}"):
        facts = bundle.run(step, out, seed, tuple(variant or [0]))
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    size = f"{facts['files']} files, {facts['bytes'] / 1e6:.1f} MB"
    print(f"{facts['out']}: {size}, {facts['requirements']} packages to install, seed {facts['seed']}")

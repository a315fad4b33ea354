"""Flags of several commands, and the rows and guides that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from step4_finetune.data.rows import Row
    from step4_finetune.tone.rules import Guide

Data = Annotated[str | None, typer.Option("--data", help="Rows: .jsonl or .csv; default: the sample.")]
GuideFile = Annotated[
    Path | None, typer.Option("--guide", help="Tone guide (YAML) of the rows; default: the sample's.")
]


def read(data: str | None, guide: Path | None) -> tuple[list[Row], Guide]:
    """The rows and the guide, by default the sample's; other rows need their own guide."""
    from shared.errors import UserError

    if data and not guide:
        raise UserError(f"{data} needs the guide of its tone: name it with --guide")
    rows, its_guide = read_any(data, guide)
    assert its_guide
    return rows, its_guide


def read_any(data: str | None, guide: Path | None) -> tuple[list[Row], Guide | None]:
    """The same, but other rows may have no guide."""
    from step4_finetune.data.rows import GUIDE, SAMPLE, read_rows
    from step4_finetune.tone.guide import read_guide

    return read_rows(data or SAMPLE), None if data and not guide else read_guide(guide or GUIDE)

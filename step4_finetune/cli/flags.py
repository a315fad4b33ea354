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
    from step4_finetune.data.rows import GUIDE, SAMPLE, read_rows
    from step4_finetune.tone.guide import read_guide

    if data and not guide:
        raise UserError(f"{data} needs the guide of its tone: name it with --guide")
    return read_rows(data or SAMPLE), read_guide(guide or GUIDE)


def guide_if_any(data: str | None, guide: Path | None) -> Guide | None:
    """The guide of the flag, or the sample's for the sample; none for other rows."""
    from step4_finetune.data.rows import GUIDE
    from step4_finetune.tone.guide import read_guide

    return None if data and not guide else read_guide(guide or GUIDE)

"""What the commands' pictures have in common; a command's own module draws its picture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shared.cli import to_json

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from shared.cli import Report

FIRST_UNDRAWN = 0x500  # letters before it are in the font: Latin, Greek, Cyrillic


def save(figure: Figure, path: Path, report: Report) -> None:
    """Write the figure as a PNG file, with the report that it shows as JSON in its description."""
    description = json.dumps(to_json(report))
    figure.savefig(path, dpi=120, format="png", metadata={"Description": description})


def drawable(text: str) -> str:
    """Text that matplotlib's font can draw: letters it lacks become a box, and $ doesn't start a formula."""
    letters = [letter if ord(letter) < FIRST_UNDRAWN or letter in "⏎⇥" else "□" for letter in text]
    return "".join(letters).replace("$", r"\$")

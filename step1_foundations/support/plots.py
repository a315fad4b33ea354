"""Plots as PNG files, without a screen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure, in inches, without pyplot's global state."""
    os.environ["MPLBACKEND"] = "agg"  # no window, whatever the user has set
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path, results: dict[str, Any]) -> None:
    """Write the figure as a PNG file that carries the results it shows, as JSON in its description."""
    figure.savefig(path, dpi=120, format="png", metadata={"Description": json.dumps(results)})


def drawable(text: str) -> str:
    """Text that matplotlib's font can draw: letters of other scripts become a box, $ starts no formula."""
    return "".join(letter if ord(letter) < 0x500 or letter in "⏎⇥" else "□" for letter in text).replace(
        "$", r"\$"
    )

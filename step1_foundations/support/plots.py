"""Drawing to a PNG file, without a screen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure of that many inches, free of the global state that pyplot keeps."""
    os.environ["MPLBACKEND"] = "agg"  # whatever the user's is: nothing is shown on a screen
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write the figure as a PNG, whatever the file is called."""
    figure.savefig(path, dpi=120, format="png")


def letters(text: str) -> str:
    """Label text that matplotlib's own font can draw; other scripts become a box, and $ is no formula."""
    return "".join(letter if ord(letter) < 0x500 or letter in "⏎⇥" else "□" for letter in text).replace(
        "$", r"\$"
    )

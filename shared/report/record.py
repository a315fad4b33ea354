"""Records: results that commands write to the reports folder, for the HTML page that page.py makes.

ROADMAP_REPORTS_DIR=reports python -m step1_foundations attention     writes a record and a picture
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

import psutil

from shared import hardware
from shared.config import load_settings
from shared.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ReportJson(TypedDict):
    """A command's report as `--json` prints it: the keys that a record needs, among others of the command."""

    command: str  # "step2_tools ask"
    headline: str  # the main result in one line
    picture: NotRequired[str | None]  # a path
    question: NotRequired[str | None]  # each question gets its own record


def record(report: ReportJson) -> None:
    """Write a command's report to `<package>/<command>.json` in ROADMAP_REPORTS_DIR, if that is set.

    Raises:
        UserError: the file can't be written.
    """
    folder = load_settings().reports_dir
    if folder is None:
        return
    package, name = report["command"].split(" ")
    file_name = name
    question = report.get("question")
    if question:
        file_name += f"-{hashlib.sha256(question.encode()).hexdigest()[:8]}"
    path = ensure_writable(folder / package / f"{file_name}.json")
    picture = report.get("picture")
    entry = {
        "package": package,
        "name": name,
        "command": shlex.join(["python", "-m", package, *sys.argv[1:]]),
        "headline": report["headline"],
        "seconds": round(time.time() - psutil.Process().create_time(), 1),
        "machine": hardware.describe(),
        "picture": os.path.relpath(picture, path.parent) if picture else None,
        "facts": report,
    }
    path.write_text(json.dumps(entry, ensure_ascii=False, indent=1), encoding="utf-8")


def picture_path(package: str, name: str, out: Path | None) -> Path:
    """The path for a command's picture: --out, or a file in the reports folder. Call it before any work.

    Raises:
        UserError: the file can't be written, or its name doesn't end in .png.
    """
    if out and out.suffix.lower() != ".png":
        raise UserError(f"--out {out} is not the name of a picture: use one that ends in .png")
    folder = load_settings().reports_dir or Path("reports")
    return ensure_writable(out or folder / package / f"{name}.png")


def new_figure(width: float, height: float) -> Figure:
    """A matplotlib figure with this size in inches, without pyplot's global state."""
    os.environ["MPLBACKEND"] = "agg"  # never opens a window
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def ensure_writable(path: Path) -> Path:
    """Create the path's folder, check that the file can be written, and return the path.

    Raises:
        UserError: the file can't be written.
    """
    try:
        existed = path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; choose another file or ROADMAP_REPORTS_DIR"
        ) from None
    return path

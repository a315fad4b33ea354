"""Records: what a command leaves in the reports folder for the page, and where its picture goes.

ROADMAP_REPORTS_DIR=reports python -m step1_foundations attention     leaves a record and a picture
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from shared.config import load_settings
from shared.errors import UserError


def record(facts: dict[str, Any]) -> None:
    """Leave a command's facts in the reports folder, when ROADMAP_REPORTS_DIR names one.

    Some keys of `facts` have a meaning here: `command`, the package and the name; `headline`, the one line
    that counts; `picture`, a path; and `question`, where answers to several may stand side by side.
    """
    folder = load_settings().reports_dir
    if folder is None:
        return
    from shared import hardware

    package, name = facts["command"].split(" ")
    asked = facts.get("question")
    own = f"-{hashlib.sha256(asked.encode()).hexdigest()[:8]}" if asked else ""
    home = writable(folder / package / f"{name}{own}.json")
    picture = facts.get("picture")
    entry = {
        "package": package,
        "name": name,
        "command": shlex.join(["python", "-m", package, *sys.argv[1:]]),
        "headline": facts["headline"],
        "seconds": round(time.time() - psutil.Process().create_time(), 1),
        "machine": hardware.describe(),
        "picture": os.path.relpath(picture, home.parent) if picture else None,
        "facts": facts,
    }
    home.write_text(json.dumps(entry, ensure_ascii=False, indent=1), encoding="utf-8")


def picture_path(package: str, name: str, out: Path | None) -> Path:
    """Where a command's picture goes: --out, or the reports folder; checked before any work is done.

    Raises:
        UserError: nothing can be written there, or the name is not that of a PNG.
    """
    if out and out.suffix.lower() != ".png":
        raise UserError(f"--out {out} is no name for a picture: use one that ends in .png")
    folder = load_settings().reports_dir or Path("reports")
    return writable(out or folder / package / f"{name}.png")


def writable(path: Path) -> Path:
    """Make the folder of `path` and try that the file can be written.

    Raises:
        UserError: it can't.
    """
    try:
        existed = path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; give another place (--out, or ROADMAP_REPORTS_DIR)"
        ) from None
    return path

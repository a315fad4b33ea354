"""The page that gathers every figure: commands leave records, `build` binds them into one HTML file.

    ROADMAP_REPORTS_DIR=reports python -m step1_foundations attention     leaves a record and a picture
    python -m shared report                                               writes reports/index.html

The page needs nothing but itself: pictures are inside, and no address outside is named.
"""

from __future__ import annotations

import base64
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

TEMPLATE = Path(__file__).with_name("report.html.jinja")
LONGEST = 700  # characters of a fact that the page still shows


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


def read(folder: Path) -> list[dict[str, Any]]:
    """All records under `folder`, in the order of the steps and of their making."""
    entries = []
    for path in folder.glob("*/*.json"):
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            entry["made"] = path.stat().st_mtime
            entry["picture"] = _data_uri(path.parent / entry["picture"]) if entry["picture"] else None
            entries.append(entry)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UserError(
                f"{path} is no record of a command; delete it and run the command again"
            ) from None
    return sorted(entries, key=lambda entry: (entry["package"], entry["made"]))


def build(folder: Path) -> Path:
    """Write `folder`/index.html from the records that lie there, and return its path."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"plain": _plain, "title_of": _title}
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        records=read(folder), made=time.strftime("%Y-%m-%d %H:%M")
    )
    target = writable(folder / "index.html")
    target.write_text(page, encoding="utf-8")
    return target


def _data_uri(path: Path) -> str | None:
    """The picture as an address that holds it; None when the file is gone."""
    try:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError:
        return None


def _title(package: str) -> str:
    """`Step 1: foundations` for step1_foundations."""
    step, _, name = package.partition("_")
    return f"Step {step.removeprefix('step')}: {name}" if name else package


def _plain(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts that fit on a line; long lists and tables stay in the JSON."""
    rows = []
    for key, value in facts.items():
        if key in ("command", "headline", "picture") or value is None or value == "":
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) <= LONGEST:
            rows.append((key.replace("_", " "), text))
    return rows

"""Binds the records of a folder into one HTML file that needs nothing but itself.

python -m shared report      writes reports/index.html
"""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.report.record import writable

TEMPLATE = Path(__file__).with_name("page.html.jinja")
LONGEST = 700  # characters of a fact that the page still shows


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

"""Makes one HTML page from the records in a folder; the file contains the pictures, so it can be sent alone.

`python -m shared demo` writes it to reports/index.html.
"""

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from shared.errors import UserError
from shared.report.record import ensure_writable

TEMPLATE = Path(__file__).with_name("page.html.jinja")
LONGEST = 700  # characters; longer values are left out


@dataclass(frozen=True)
class Entry:
    """A record as the page shows it."""

    id: str  # of its place on the page
    package: str
    name: str  # of the command
    command: str  # the whole line
    question: str | None
    headline: str
    seconds: float
    machine: str
    made: float  # when, in seconds since 1970
    picture: str | None  # as a data: URL
    rows: list[tuple[str, str]]  # names and values


def read_records(folder: Path) -> list[Entry]:
    """All records in `folder`, by step and then by age.

    Raises:
        UserError: a JSON file is not a record.
    """
    entries = []
    for path in folder.glob("*/*.json"):
        try:
            entries.append(_read_record(path))
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path} is not a command's record: move it to another folder, or delete it"
            ) from None
    return sorted(entries, key=lambda entry: (entry.package, entry.made))


def _read_record(path: Path) -> Entry:
    record = json.loads(path.read_text(encoding="utf-8"))
    facts = record["facts"]
    return Entry(
        id=f"{record['package']}-{path.stem}",
        package=record["package"],
        name=record["name"],
        command=record["command"],
        question=facts.get("question"),
        headline=record["headline"],
        seconds=record["seconds"],
        machine=record["machine"],
        made=path.stat().st_mtime,
        picture=_data_url(path.parent, record["picture"]),
        rows=_rows(facts),
    )


def build(folder: Path) -> Path:
    """Write `folder`/index.html from the records in `folder`, and return its path.

    Raises:
        UserError: a record is not valid, or the file cannot be written.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        records=read_records(folder), made=time.strftime("%Y-%m-%d %H:%M")
    )
    path = ensure_writable(folder / "index.html")
    path.write_text(page, encoding="utf-8")
    return path


def _data_url(folder: Path, picture: str | None) -> str | None:
    """The picture as a data: URL; None if there is none, or its file is missing."""
    if not picture or not (folder / picture).is_file():
        return None
    return "data:image/png;base64," + base64.b64encode((folder / picture).read_bytes()).decode()


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of a record's table: names and short values. Long values are only in the JSON file."""
    rows = []
    for key, value in facts.items():
        if key in ("command", "headline", "picture") or value in (None, ""):
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) <= LONGEST:
            rows.append((key.replace("_", " "), text))
    return rows

"""Makes one HTML page from the records in a folder; the file contains the pictures, so it can be sent alone.

`python -m shared demo` writes it to reports/index.html.
"""

import base64
import json
import time
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.report.record import ensure_writable

TEMPLATE = Path(__file__).with_name("page.html.jinja")
LONGEST = 700  # characters; longer values are left out


def read_records(folder: Path) -> list[dict[str, Any]]:
    """All records in `folder`, by step and then by age. `picture` becomes a data: URL, or None.

    Raises:
        UserError: a JSON file is not a record.
    """
    records = []
    for path in folder.glob("*/*.json"):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            record |= {"made": path.stat().st_mtime, "id": f"{record['package']}-{path.stem}"}
            record["rows"] = _rows(record["facts"])
            record["picture"] = _data_url(path.parent, record["picture"])
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path} is not a command's record: move it to another folder, or delete it"
            ) from None
        records.append(record)
    return sorted(records, key=lambda record: (record["package"], record["made"]))


def build(folder: Path) -> Path:
    """Write `folder`/index.html from the records in `folder`, and return its path.

    Raises:
        UserError: a record is not valid, or the file cannot be written.
    """
    import jinja2

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
    texts = {
        key.replace("_", " "): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in facts.items()
        if key not in ("command", "headline", "picture") and value not in (None, "")
    }
    return [(name, text) for name, text in texts.items() if len(text) <= LONGEST]

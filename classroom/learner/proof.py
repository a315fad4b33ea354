"""A proof of completion, without a server: a page that an instructor can recompute with `verify`.

    page = render(Starter.load(ROOT), facts)
    read(page)["points"]        {"3.1": 3, ...} by the public tests

It proves nothing by itself: the instructor runs the files again. Hashes say which files those are.
"""

import hashlib
import json
import platform
import re
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from classroom.learner.folder import Starter
from shared.errors import UserError

SCHEMA = "classroom/proof/v1"
ROW = re.compile(r"^\| (\d+\.\d+) ([^|\n]{1,80}) \| \d+ of \d+ \|$", re.MULTILINE)
BLOCK = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def render(starter: Starter, facts: dict[str, Any]) -> str:
    """The page, as Markdown, from the facts of status.py."""
    files = {name: hashlib.sha256((starter.root / name).read_bytes()).hexdigest() for name in starter.files}
    told = {
        "schema": SCHEMA,
        "step": starter.step,
        "variant": starter.variant,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "points": {each["id"]: each["public_score"] for each in facts["exercises"]},
        "files": files,
        "versions": {"python": platform.python_version(), "pytest": metadata.version("pytest")},
    }
    rows = "\n".join(
        f"| {each['id']} {each['title']} | {each['public_score']} of {each['public_points']} |"
        for each in facts["exercises"]
    )
    return f"""\
# {starter.title}

{facts["public_score"]} of {facts["public_points"]} points by the public tests; {told["date"]}

| exercise | public tests |
|---|---|
{rows}

Recompute it with the files that were handed in: `python -m classroom verify PAGE SUBMISSION`.

```json
{json.dumps(told, ensure_ascii=False, indent=1)}
```
"""


def read(page: str) -> dict[str, Any]:
    """What a page claims.

    Raises:
        UserError: it is not such a page.
    """
    try:
        [block] = BLOCK.findall(page)
        told = json.loads(block)
        points = {str(id): int(each) for id, each in told["points"].items()}
        files = {str(name): str(each) for name, each in told["files"].items()}
        if told["schema"] != SCHEMA or not isinstance(told["variant"], int):
            raise ValueError
        titles = dict(ROW.findall(page))
        return {**told, "step": str(told["step"]), "points": points, "files": files, "titles": titles}
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise UserError(f"this is not a page that `proof` made ({SCHEMA})") from None

"""YAML front matter: what a document says of its own version.

---
status: superseded
version: 2.1
valid_from: 2024-01-01
valid_until: 2025-06-30
---
# Leave policy
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

LONGEST = 200  # characters of a value that are kept
BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
ALLOWED = {
    "status": "a text",
    "version": "a text",
    "valid_from": "a date like 2025-07-01",
    "valid_until": "a date like 2025-07-01",
    "superseded": "true or false",
}


@dataclass(frozen=True)
class Version:
    """Which version of a document this is; dates as ISO 8601, so that they sort as texts."""

    status: str | None = None
    version: str | None = None
    valid_from: str | None = None
    valid_until: str | None = None
    superseded: bool = False  # by `superseded: true` or `status: superseded`


NO_VERSION = Version()


def split(text: str) -> tuple[Version, str, str]:
    """What a text's front matter says, the text below it, and what is wrong with the front matter, or "".

    A line of hyphens that begins anything else than YAML's `name: value` belongs to the text.
    """
    if not text.startswith("---"):
        return NO_VERSION, text, ""
    import frontmatter
    import yaml

    try:
        block, body = frontmatter.YAMLHandler().split(text)
        found = yaml.load(block, yaml.BaseLoader)  # all values as texts: 2.10 is no number
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "unreadable"
        return NO_VERSION, text, f"its front matter is not YAML: {problem}"
    except (ValueError, RecursionError):  # nothing ends it
        return NO_VERSION, text, ""
    if not isinstance(found, dict):
        return NO_VERSION, text, ""
    version, problems = _read(found)
    title, body = found.get("title"), body.lstrip("\n")
    if isinstance(title, str) and title.strip() and not re.match(r"\s*#", body):
        body = f"# {' '.join(title.split())}\n\n{body}"
    return version, body, "; ".join(problems)


def _read(found: dict[str, Any]) -> tuple[Version, list[str]]:
    """The values that make sense, and what is wrong with the others."""
    facts: dict[str, Any] = {}
    problems = []
    for key in (key for key in ALLOWED if found.get(key)):
        try:
            value = " ".join(found[key].split())[:LONGEST]
            if key.startswith("valid"):
                facts[key] = date.fromisoformat(value).isoformat()
            else:
                facts[key] = BOOLEANS[value.lower()] if key == "superseded" else value
        except (ValueError, KeyError, AttributeError):  # one value is allowed, not several
            problems.append(f"{key} must be {ALLOWED[key]}")
    if facts.get("valid_from", "") > facts.get("valid_until", "9999"):
        problems.append(
            f"valid_from {facts.pop('valid_from')} is after valid_until {facts.pop('valid_until')}"
        )
    facts["superseded"] = facts.get("superseded", facts.get("status", "").lower() == "superseded")
    return Version(**facts), problems

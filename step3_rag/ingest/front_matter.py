"""YAML front matter: a title, and whether a newer version has replaced the document.

---
title: Leave policy
superseded: true
---
Employees have 30 days of leave.
"""

from __future__ import annotations

import re

from step3_rag.ingest.piece import UnreadableError

BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def split(text: str) -> tuple[bool, str]:
    """Whether a text's front matter says that it is superseded, and the text below.

    `status: superseded` means the same as `superseded: true`. If something else than `name: value` follows
    the first line of hyphens, there is no front matter.

    Raises:
        UnreadableError: it doesn't become clear whether the document is superseded.
    """
    if not text.startswith("---"):
        return False, text
    import frontmatter
    import yaml

    try:
        block, body = frontmatter.YAMLHandler().split(text)
        found = yaml.load(block, yaml.BaseLoader)  # all values as texts
    except yaml.YAMLError as error:
        if "superseded" in text.split("\n---", 1)[0]:
            problem = getattr(error, "problem", None) or "unreadable"
            raise UnreadableError(f"its front matter is not YAML: {problem}") from None
        return False, text
    except (ValueError, RecursionError):  # nothing ends it
        return False, text
    if not isinstance(found, dict):
        return False, text
    title, body = found.get("title"), body.lstrip("\n")
    if isinstance(title, str) and title.strip() and not re.match(r"\s*#", body):
        body = f"# {' '.join(title.split())}\n\n{body}"
    value, status = (str(found.get(name, "")).strip().lower() for name in ("superseded", "status"))
    if value and value not in BOOLEANS:
        raise UnreadableError("superseded must be true or false in its front matter")
    return BOOLEANS.get(value, status == "superseded"), body

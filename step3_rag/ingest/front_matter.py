"""YAML front matter: a title, and whether a newer version has replaced the document.

---
title: Leave policy
superseded: true
---
Employees have 30 days of leave.
"""

from __future__ import annotations

import re

BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def split(text: str) -> tuple[bool, str, str]:
    """Whether a text's front matter says that it is superseded; the text below; what is wrong with it, or "".

    `status: superseded` means the same as `superseded: true`. If something else than `name: value` follows
    the first line of hyphens, there is no front matter.
    """
    if not text.startswith("---"):
        return False, text, ""
    import frontmatter
    import yaml

    try:
        block, body = frontmatter.YAMLHandler().split(text)
        found = yaml.load(block, yaml.BaseLoader)  # all values as texts
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "unreadable"
        return False, text, f"its front matter is not YAML: {problem}"
    except (ValueError, RecursionError):  # nothing ends it
        return False, text, ""
    if not isinstance(found, dict):
        return False, text, ""
    title, body = found.get("title"), body.lstrip("\n")
    if isinstance(title, str) and title.strip() and not re.match(r"\s*#", body):
        body = f"# {' '.join(title.split())}\n\n{body}"
    value, status = (str(found.get(name, "")).strip().lower() for name in ("superseded", "status"))
    problem = "superseded must be true or false" if value and value not in BOOLEANS else ""
    return BOOLEANS.get(value, status == "superseded"), body, problem

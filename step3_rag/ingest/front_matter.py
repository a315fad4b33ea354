"""YAML front matter at the top of a Markdown file: its title, and whether a newer version has replaced it.

    ---
    title: Leave policy
    superseded: true
    tags: [leave, holidays]
    ---
    Employees have 30 days of leave.

Only strings, numbers, dates and short lists of them are allowed. YAML can do more, and a file that somebody
uploads must not use it: ten lines with aliases (`b: &b [*a, *a]`, "billion laughs") mean gigabytes once they
are written out. So we read YAML's events, which come in the order of the file and expand nothing.
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

import frontmatter
import yaml

from step3_rag.ingest.text import UnreadableError

LONGEST = 20_000  # characters: the parser is slow
MOST_ITEMS = 100  # of a list
BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
ALLOWED = "use strings, numbers, dates or lists of them"

Fields: TypeAlias = dict[str, str | list[str]]


def split_front_matter(text: str) -> tuple[bool, str]:
    """Whether a text's front matter says that the document is superseded, and the text below.

    `superseded: true` and `status: superseded` mean the same. If something else than `name: value` follows
    the first line of hyphens, there is no front matter.

    Raises:
        UnreadableError: it has a value that is not allowed, or doesn't say clearly whether the document is
            superseded.
    """
    if not text.startswith("---"):
        return False, text
    try:
        block, body = frontmatter.YAMLHandler().split(text)
    except ValueError:  # nothing ends it
        return False, text
    if len(block) > LONGEST and re.match(r"\s*[\w-]+:", block):
        raise UnreadableError(f"its front matter has {len(block):,} characters, {LONGEST:,} at most")
    try:
        fields = parse(block[:LONGEST])
    except yaml.YAMLError as error:
        if "superseded" in block:
            problem = getattr(error, "problem", None) or "unreadable"
            raise UnreadableError(f"its front matter is not YAML: {problem}") from None
        return False, text
    if fields is None:
        return False, text
    body = body.lstrip("\n")
    title = fields.get("title", "")
    if isinstance(title, str) and title.strip() and not re.match(r"\s*#", body):
        body = f"# {' '.join(title.split())}\n\n{body}"
    return _is_superseded(fields), body


def _is_superseded(fields: Fields) -> bool:
    value = str(fields.get("superseded", "")).strip().lower()
    if value and value not in BOOLEANS:
        raise UnreadableError("superseded must be true or false in its front matter")
    if value:
        return BOOLEANS[value]
    return str(fields.get("status", "")).strip().lower() == "superseded"


def parse(block: str) -> Fields | None:
    """The fields of a block of YAML, all values as texts; None if it is no mapping.

    >>> parse("title: Fees\\ntags: [a, b]")
    {'title': 'Fees', 'tags': ['a', 'b']}

    Raises:
        UnreadableError: names the field whose value is not allowed.
        yaml.YAMLError: it is not YAML.
    """
    events: Iterator[yaml.Event] = yaml.parse(block, yaml.BaseLoader)
    opening = (yaml.StreamStartEvent, yaml.DocumentStartEvent)
    first = next((event for event in events if not isinstance(event, opening)), None)
    if not isinstance(first, yaml.MappingStartEvent):
        return None
    fields: Fields = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            for _ in events:  # what follows must be YAML, too
                pass
            return fields
        name = _text(event, "a name")
        fields[name] = _value(next(events), events, repr(name[:40]))
    return fields


def _value(event: object, events: Iterator[object], name: str) -> str | list[str]:
    """A field's value, which begins with this event."""
    if not isinstance(event, yaml.SequenceStartEvent):
        return _text(event, name)
    items: list[str] = []
    for item in events:
        if isinstance(item, yaml.SequenceEndEvent):
            break
        if len(items) == MOST_ITEMS:
            raise UnreadableError(f"{name} in its front matter has more than {MOST_ITEMS} items: shorten it")
        items.append(_text(item, name))
    return items


def _text(event: object, name: str) -> str:
    """The text of a scalar event."""
    if isinstance(event, yaml.ScalarEvent) and event.tag is None:
        return str(event.value)
    kind = "a list in a list"
    if isinstance(event, yaml.AliasEvent):
        kind = "an alias (*)"
    elif isinstance(event, yaml.ScalarEvent):
        kind = "a tag (!)"
    elif isinstance(event, yaml.MappingStartEvent):
        kind = "a mapping"
    raise UnreadableError(f"{name} in its front matter is {kind}: {ALLOWED}")

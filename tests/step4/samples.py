"""The sample's guide, replies in its frame, and ten good rows that are unlike each other."""

import dataclasses
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from step4_finetune.data.rows import GUIDE as GUIDE_FILE
from step4_finetune.data.rows import read_rows
from step4_finetune.tone.guide import read_guide

needs_presidio = pytest.mark.skipif(not find_spec("presidio_analyzer"), reason="pip install .[presidio]")
GUIDE = read_guide(GUIDE_FILE)
BODY = (
    "Thank you for telling us that your hedge trimmer has become louder since 12 May. We will have it "
    "inspected by a technician and repaired under your cover. Please reply with the serial number on its "
    "handle."
)


def reply(body=BODY, greeting="Dear member,", sign_off="Kind regards,\nNorthwind Care"):
    """A reply in the sample's frame."""
    return f"{greeting}\n\n{body}\n\n{sign_off}"


def good():
    """Rows whose chosen replies keep the guide and are faithful; the rejected ones break its tone."""
    return read_rows(Path(__file__).with_name("rows.jsonl"))


def spoilt(row, message=None, **changes):
    """The row with some fields changed."""
    if message is not None:
        changes["prompt"] = ({"role": "user", "content": message},)
    return dataclasses.replace(row, **changes)


def as_file(path, rows):
    """The rows as JSON lines in the sample's form."""
    names = ("id", "topic", "split", "message", "notes", "chosen", "rejected", "breaks")
    lines = [
        json.dumps({name: getattr(row, name) for name in names}, ensure_ascii=False) + "\n" for row in rows
    ]
    path.write_text("".join(lines), encoding="utf-8")
    return path

"""The sample's guide, replies to try it on, and what a command prints."""

import io

from rich.console import Console

from step4_finetune.data.rows import GUIDE as GUIDE_FILE
from step4_finetune.tone.guide import read_guide

GUIDE = read_guide(GUIDE_FILE)
BODY = (
    "Thank you for telling us that your hedge trimmer has become louder since 12 May. We will have it "
    "inspected by a technician and repaired under your cover. Please reply with the serial number on its "
    "handle."
)


def reply(body=BODY, greeting="Dear member,", sign_off="Kind regards,\nNorthwind Care"):
    """A reply in the sample's frame."""
    return f"{greeting}\n\n{body}\n\n{sign_off}"


def shown(show, facts):
    """What `show` prints for people."""
    console = Console(file=io.StringIO(), width=110, highlight=False, markup=False)
    show(facts, console)
    return console.file.getvalue()

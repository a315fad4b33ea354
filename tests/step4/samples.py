"""The sample's guide, and replies to try them on."""

from pathlib import Path

import step4_finetune
from step4_finetune.tone.guide import read_guide

SAMPLE = Path(step4_finetune.__file__).with_name("sample")
GUIDE = read_guide(SAMPLE / "guide.yaml")
BODY = (
    "Thank you for telling us that your hedge trimmer has become louder since 12 May. We will have it "
    "inspected by a technician and repaired under your cover. Please reply with the serial number on its "
    "handle."
)


def reply(body=BODY, greeting="Dear member,", sign_off="Kind regards,\nNorthwind Care"):
    """A reply in the sample's frame."""
    return f"{greeting}\n\n{body}\n\n{sign_off}"

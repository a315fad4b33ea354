"""The obvious baseline: a template that puts the notes between greeting and sign-off, without any model.

    >>> print(reply(["mbr Ms Hill", "exc 50 / tech tue am", "int: 2nd complaint"], guide))
    Dear Ms Hill,
    <BLANKLINE>
    The excess is 50. A technician will visit you on Tuesday in the morning.
    <BLANKLINE>
    Kind regards,
    Northwind Care

Notes for staff are left out, abbreviations written out by the guide's table. The commonest notes have a
frame; any other is pasted as it is. A template doesn't read the message, so it can't begin with the answer.
"""

import re
from collections.abc import Sequence

from step4_finetune.tone.rules import Guide
from step4_finetune.tone.shorthand import is_shorthand, told

MEMBER = re.compile(r"(?:member|for):? ((?:Ms|Mr|Mrs|Dr) .+)")
SILENT = ("decision", "done", "plan", "note", "reason", "where", "when")  # keys that are not said
FRAMES = (
    (r"(?:technician|engineer) (?:booked |visit |comes )?(.+)", "A technician will visit you on {}."),
    (r"excess:? (\S+)", "The excess is {}."),
    (r"covered:? ?(?:approved|yes|y)?", "This is covered."),
    (r"not covered.*|covered:? no|no covered", "This is not covered."),
    (r"refund (\S+) (?:approved|agreed)", "We have approved your refund of {}."),
    (r"(?:goodwill )?voucher (\S+).*", "You get a voucher for {}."),
    (r"(?:new slot|new delivery|delivery(?: now| booked)?) (.+)", "The delivery is on {}."),
    (r"(?:discount (\S+%).*|(\S+%) discount)", "You get a discount of {}."),
    (r"case (?:no |refund )?(\S+)", "Your case number is {}."),
    (r"collect (?:booked )?(.+)", "We will collect it on {}."),
    (r"plan (?:to|runs to|ends) (.+)", "Your plan runs until {}."),
    (r"to card (?:end )?(\S+)", "The money goes to your card ending {}."),
    (r"(?:ask: |please |member to )(.+)", "Please {}."),
)


def reply(notes: Sequence[str], guide: Guide) -> str:
    """The reply that the template writes to these notes."""
    greeting = next(iter(guide.fixed_greetings), "")
    body = []
    for note in told(notes, guide) if is_shorthand(notes, guide) else notes:
        if named := MEMBER.fullmatch(note):
            greeting = f"Dear {named[1]},"
        else:
            body.append(_sentence(note))
    sign_off = next(iter(guide.sign_offs), "")
    return "\n\n".join(part for part in (greeting, " ".join(body), sign_off) if part)


def _sentence(note: str) -> str:
    """The note in its frame; without one, with a capital letter and a full stop."""
    for pattern, frame in FRAMES:
        if found := re.fullmatch(pattern, note):
            return frame.format(*(group for group in found.groups() if group))
    key, _, value = note.partition(": ")
    words = value if key in SILENT else note.replace(": ", " ")
    return f"{words[:1].upper()}{words[1:].removesuffix('.')}."

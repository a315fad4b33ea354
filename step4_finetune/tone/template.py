"""The obvious baseline: a template that pastes the notes between greeting and sign-off, without any model.

    >>> print(reply(["member: Ms Hill", "decision: refund of 20.00 approved", "ask: keep the receipt"], guide))
    Dear Ms Hill,
    <BLANKLINE>
    Refund of 20.00 approved. Please keep the receipt.
    <BLANKLINE>
    Kind regards,
    Northwind Care

Its greeting and sign-off are the first ones of the guide.
"""

from collections.abc import Sequence

from step4_finetune.tone.rules import Guide

MEMBER, ASK = "member", "ask"  # keys of notes: a name, and what the member is asked to do
SILENT = ("decision", "done", "plan", "note", "reason", "where", "when")  # keys that are not said


def reply(notes: Sequence[str], guide: Guide) -> str:
    """The reply that the template writes to these notes."""
    greeting = next(iter(guide.fixed_greetings), "")
    body = []
    for note in notes:
        key, colon, value = note.partition(": ")
        if not colon:
            body.append(_sentence(note))
        elif key == MEMBER:
            greeting = f"Dear {value},"
        elif key == ASK:
            body.append(_sentence(f"please {value}"))
        elif key in SILENT:
            body.append(_sentence(value))
        else:
            body.append(_sentence(f"{key} {value}"))
    sign_off = next(iter(guide.sign_offs), "")
    return "\n\n".join(part for part in (greeting, " ".join(body), sign_off) if part)


def _sentence(words: str) -> str:
    """The words with a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:].removesuffix('.')}."

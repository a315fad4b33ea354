"""The reply that goes out when the model's may not: ready-made, and it keeps the guide, too.

    >>> print(fallback(guide, "language"))
    Dear member,
    <BLANKLINE>
    We have received your message, but we can answer in English only. Please write to us again in English.
    <BLANKLINE>
    Kind regards,
    Northwind Care

Where these sentences break a guide's rules, the guide brings its own replies, under `fallbacks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import UserError
from step4_finetune.tone import rules

if TYPE_CHECKING:
    from step4_finetune.tone.rules import Guide

RECEIVED = "We have received your message"
AGAIN = "Please write to us again if you have a question about our services."
BODIES = {  # what is said, and what the member can do next
    "injection": f"{RECEIVED}, but we cannot do what it asks of us. {AGAIN}",
    "offtopic": f"{RECEIVED}, but we cannot help with its subject. {AGAIN}",
    "language": f"{RECEIVED}, but we can answer in English only. Please write to us again in English.",
    "length": "We could not read your message, because it was empty or too long. "
    "Please send it to us again in a few sentences.",
    "reply": f"{RECEIVED}, and a colleague will read and answer it. Please keep this reply until then.",
}


def fallback(guide: Guide, reason: str) -> str:
    """The reply for a reason: one of BODIES. `length` is the message's; `reply`: the model's may not go out.

    Raises:
        UserError: it would break the guide.
    """
    reply = "\n\n".join([*guide.fixed_greetings[:1], BODIES[reason], *guide.sign_offs[:1]])
    if broken := rules.broken(reply, guide):
        raise UserError(
            f"the ready-made replies break the guide of {guide.company} ({', '.join(broken)}): write your "
            f"own in the guide, under fallbacks: {', '.join(BODIES)}"
        )
    return reply

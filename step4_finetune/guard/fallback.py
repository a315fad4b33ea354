"""The reply that goes out when the model's may not: ready-made, and it keeps the guide, too.

    >>> print(fallbacks(guide)["injection"])
    Dear member,
    <BLANKLINE>
    We have received your message, but we cannot do what it asks of us. Please write to us again if you have
    a question about our services.
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

BODIES = {  # what is said, and what the member can do next
    "injection": "We have received your message, but we cannot do what it asks of us. "
    "Please write to us again if you have a question about our services.",
    "length": "We could not read your message, because it was empty or too long. "
    "Please send it to us again in a few sentences.",
    "reply": "We have received your message, and a colleague will read and answer it. "
    "Please keep this reply until then.",
}


def fallbacks(guide: Guide) -> dict[str, str]:
    """The reply for each reason of BODIES, the guide's own or ours. `length` is the message's; `reply`: the
    model's may not go out.

    Raises:
        UserError: one would break the guide, or the guide names another reason.
    """
    if unknown := sorted(set(guide.fallbacks) - set(BODIES)):
        raise UserError(f"fallback for {unknown[0]!r}: use {', '.join(BODIES)}")
    greeting, sign_off = guide.fixed_greetings[:1], guide.sign_offs[:1]
    found = {reason: "\n\n".join([*greeting, body, *sign_off]) for reason, body in BODIES.items()}
    found |= guide.fallbacks
    for reason, reply in found.items():
        if broken := rules.broken(reply, guide):
            raise UserError(
                f"the fallback for {reason} breaks {guide.company}'s rules {', '.join(broken)}: write your "
                f"own in the guide, under fallbacks: {', '.join(BODIES)}"
            )
    return found

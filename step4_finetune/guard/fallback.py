"""The reply that goes out when the model's may not: it keeps the guide, too.

    >>> print(fallback(guide, "language"))
    Dear member,
    <BLANKLINE>
    We have received your message, but we can answer in English only. Please write to us again in English.
    <BLANKLINE>
    Kind regards,
    Northwind Care

It is put together from the guide's greeting and sign-off and one of a few bodies, which is turned
(contractions or none, "we" or "I", "Please" or a question) until every rule is kept. For a guide that wants
what nobody could foresee there is none: the error says so, and you write the reply into the guide.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from shared.errors import UserError
from step4_finetune.tone import rules

if TYPE_CHECKING:
    from step4_finetune.tone.rules import Guide

RECEIVED = "We have received your message"
AGAIN = "write to us again if you have a question about our services"
BODIES = {  # what is said, and what the member can do next
    "injection": (f"{RECEIVED}, but we cannot do what it asks of us.", AGAIN),
    "offtopic": (f"{RECEIVED}, but we cannot help with its subject.", AGAIN),
    "language": (f"{RECEIVED}, but we can answer in English only.", "write to us again in English"),
    "length": (
        "We could not read your message, because it was empty or too long.",
        "send it to us again in a few sentences",
    ),
    "reply": (f"{RECEIVED}, and a colleague will read and answer it.", "keep this reply until then"),
}
THANKS = "Thank you for writing to us."
SORRY = "We are sorry that we cannot say more today."
CONTRACTIONS = {"cannot": "can't", "could not": "couldn't", "We have": "We've", "We are": "We're"}
ALONE = {
    "We are": "I am",
    "We're": "I'm",
    "We've": "I've",
    "We ": "I ",
    " we ": " I ",
    " us ": " me ",
    " us.": " me.",
    " our ": " my ",
}
Turn = Callable[[str], str]


@cache
def fallback(guide: Guide, reason: str) -> str:
    """The reply for a reason: one of BODIES. `length` is the message's; `reply`: the model's may not go out.

    Raises:
        UserError: no reply could be made that keeps the guide.
    """
    nearest: tuple[str, ...] | None = None
    for body in bodies(*BODIES[reason]):
        parts = (guide.fixed_greetings[:1], (body,), guide.sign_offs[:1])
        reply = "\n\n".join(itertools.chain.from_iterable(parts))
        broken = rules.broken(reply, guide)
        if not broken:
            return reply
        if nearest is None or len(broken) < len(nearest):
            nearest = broken
    raise UserError(
        f"no ready-made reply keeps the guide of {guide.company} (the nearest breaks "
        f"{', '.join(nearest or ())}): write one in the guide, as {reason} under fallbacks"
    )


def bodies(said: str, next_step: str) -> Iterator[str]:
    """The same in different manners, the plainest first."""
    asked = (
        f"Please {next_step}.",
        f"You can {next_step}.",
        f"Could you {next_step}?",
        f"{next_step[0].upper()}{next_step[1:]}.",
    )
    endings: tuple[Turn, ...] = (str, lambda body: body[:-1] + "!", lambda body: body + " 🙂")
    manners: tuple[Turn, ...] = (str, contracted, alone, lambda body: alone(contracted(body)))
    starts = ("", THANKS, f"{THANKS} {SORRY}")
    for ending, turned, before, last in itertools.product(endings, manners, starts, (*asked, "")):
        yield ending(turned(" ".join(each for each in (before, said, last) if each)))


def contracted(body: str) -> str:
    """As people speak: can't, we've."""
    for long, short in CONTRACTIONS.items():
        body = body.replace(long, short)
    return body


def alone(body: str) -> str:
    """As one person speaks: I, me."""
    for several, one in ALONE.items():
        body = body.replace(several, one)
    return body

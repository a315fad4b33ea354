"""What is looked at in a reply: its length, whether it tells the model's orders, its tone.

    >>> wrong("Dear member,\\n\\nDon't worry. Please wait.\\n\\nKind regards,\\nNorthwind Care", guide)
    [('tone', "no_contractions: Don't")]

With notes, also whether it says what they say (tone/fidelity.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from step4_finetune.data.curate.finding import short
from step4_finetune.tone import fidelity, rules, text
from step4_finetune.tone.scores import problems

if TYPE_CHECKING:
    from step4_finetune.tone.rules import Guide

IN_A_ROW = 5  # words of the orders: fewer come together by chance
QUOTED = re.compile(r"[\"“]([^\"”\n]{2,}(?:\n[^\"”]*)?)[\"”]")
REPLY_WORDS = 120  # of the body; the sample's are 70 at most


def wrong(reply: str, guide: Guide, notes: Sequence[str] = (), message: str = "") -> list[tuple[str, str]]:
    """The checks that a reply fails, and what they saw; the worst first."""
    parts = guide.parts(reply)
    found = []
    if how := too_short_or_long(parts, guide):
        found.append(("length", how))
    if told := leaked(parts, guide):
        found.append(("leak", told))
    told_wrong = fidelity.check(reply, notes, message, guide.company) if notes else None
    if told_wrong and not told_wrong.faithful:
        seen = [f"{kind} {each}" for kind, each in told_wrong.findings()]
        found.append(("facts", short("; ".join(seen))))
    if why := rules.reasons(reply, guide):
        found.append(("tone", short("; ".join(f"{rule}: {each}" for rule, each in why.items()))))
    return found


def too_short_or_long(parts: text.Parts, guide: Guide) -> str:
    """`empty`, `cut`, `looping` or the number of words; nothing where the length is right."""
    if found := problems(parts, guide.sign_offs):
        return ", ".join(found)
    n = len(text.words(parts.body))
    return f"{n} words" if n > REPLY_WORDS else ""


def leaked(parts: text.Parts, guide: Guide) -> str:
    """Five words in a row of the system message or the rules; nothing where there are none.

    What the rules quote ("Dear member,") is meant to be said.
    """
    told = guide.as_prompt()
    quoted = {run for each in QUOTED.findall(told) for run in _runs(each)}
    orders = {run for line in told.split("\n") for run in _runs(line)} - quoted
    found = next((run for run in _runs(parts.body) if run in orders), ())
    return short(" ".join(found))


def _runs(words: str) -> list[tuple[str, ...]]:
    found = [each.lower() for each in text.words(words)]
    return [tuple(found[at : at + IN_A_ROW]) for at in range(len(found) - IN_A_ROW + 1)]

"""The score of one reply: the tone's rules, fidelity to its notes, and whether it reads as one reply.

    >>> score(reply, guide, notes, message).faithful
    True

`faithful`, `reads` and `good` are unknown (None) for a row without notes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from step4_finetune.tone import fidelity, one_reply, text
from step4_finetune.tone.fidelity import Fidelity
from step4_finetune.tone.rules import Guide

LOOP = 4  # words; a reply that repeats a run of so many OFTEN times is looping
OFTEN = 3
SHARES = ("all_rules", "faithful", "reads", "good", "healthy")  # of the replies, in reports


@dataclass(frozen=True)
class Compared:
    """What a row knows beyond its notes, where these are in shorthand; no model sees it."""

    facts: tuple[str, ...] = ()  # the notes for the member, written out; the answer first
    internal: tuple[str, ...] = ()  # the notes for staff only, written out
    example: str = ""  # a right reply: its words are no additions


@dataclass(frozen=True)
class Score:
    """The score of one reply."""

    rules: dict[str, bool]
    fidelity: Fidelity | None = None  # None: the row has no notes
    problems: tuple[str, ...] = ()  # empty, cut, looping
    flaws: tuple[tuple[str, str], ...] | None = None  # of one_reply.py; None: the row has no notes

    @property
    def adherence(self) -> float:
        """Share of the guide's rules that are kept."""
        return sum(self.rules.values()) / len(self.rules)

    @property
    def broken(self) -> list[str]:
        """The ids of the rules that are not kept."""
        return [rule for rule, kept in self.rules.items() if not kept]

    @property
    def all_rules(self) -> bool:
        return not self.broken

    @property
    def healthy(self) -> bool:
        """Neither empty nor cut off nor looping."""
        return not self.problems

    @property
    def faithful(self) -> bool | None:
        """It says what the notes say and nothing else, and is healthy."""
        return None if self.fidelity is None else self.fidelity.faithful and self.healthy

    @property
    def reads(self) -> bool | None:
        """It reads as one reply: full sentences, the answer first, nothing twice."""
        return None if self.flaws is None else not self.flaws and self.healthy

    @property
    def good(self) -> bool | None:
        """It keeps every rule, is faithful and reads as one reply; None where that is unknown."""
        if self.faithful is None or self.reads is None:
            return None
        return self.all_rules and self.faithful and self.reads

    def as_json(self) -> dict[str, Any]:
        """For reports."""
        names = ("adherence", *SHARES, "problems", "flaws")
        wrong = {kind: list(getattr(self.fidelity, kind)) for kind in fidelity.KINDS} if self.fidelity else {}
        return {"rules": self.rules, **{name: getattr(self, name) for name in names}, **wrong}


def score(
    reply: str, guide: Guide, notes: Sequence[str] = (), message: str = "", more: Compared = Compared()
) -> Score:
    """Score one reply."""
    parts = guide.parts(reply)
    kept = {rule.id: rule.allows(parts) for rule in guide.rules}
    if not notes:
        return Score(kept, None, problems(parts, guide.sign_offs))
    found = faithfulness(reply, guide, notes, message, more)
    flaws = one_reply.faults(parts.body, more.facts, notes, message)
    return Score(kept, found, problems(parts, guide.sign_offs), flaws)


def faithfulness(
    reply: str, guide: Guide, notes: Sequence[str], message: str, more: Compared = Compared()
) -> Fidelity:
    """Compare a reply with the facts that are written out, or else with the notes."""
    known = f"{message}\n{more.example}"
    return fidelity.check(reply, more.facts or notes, known, guide.own, more.internal)


def problems(parts: text.Parts, sign_offs: Sequence[str] = ()) -> tuple[str, ...]:
    """Which of `empty`, `cut` and `looping` a reply is."""
    found = []
    if parts.is_empty:
        found.append("empty")
    elif _is_cut(parts, sign_offs):
        found.append("cut")
    if is_looping(parts.reply):
        found.append("looping")
    return tuple(found)


def _is_cut(parts: text.Parts, sign_offs: Sequence[str]) -> bool:
    """Whether a reply ends inside a sentence or its sign-off."""
    if parts.sign_off:
        return any(each != parts.sign_off and each.startswith(parts.sign_off) for each in sign_offs)
    return not re.search(r"[.!?…:)\"”'’]$", parts.body) and not text.emoji(parts.body[-2:])


def is_looping(reply: str) -> bool:
    """Whether a sentence occurs twice, or the same few words three times."""
    sentences = [each.lower() for each in text.sentences(reply) if len(text.words(each)) >= LOOP]
    if len(sentences) != len(set(sentences)):
        return True
    words = [each.lower() for each in text.words(reply)]
    grams = [tuple(words[i : i + LOOP]) for i in range(len(words) - LOOP + 1)]
    return any(grams.count(each) >= OFTEN for each in set(grams))

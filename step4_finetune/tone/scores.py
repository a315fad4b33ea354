"""The score of one reply: the tone's rules, fidelity to its notes, and whether it is complete.

    >>> score(reply, guide, notes, message).faithful
    True

`faithful` is unknown (None) for a row without notes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from step4_finetune.tone import fidelity, text
from step4_finetune.tone.fidelity import Fidelity
from step4_finetune.tone.rules import Guide

LOOP = 4  # words; a reply that repeats a run of so many OFTEN times is looping
OFTEN = 3
SHARES = ("all_rules", "faithful", "both", "healthy")  # of the replies, in reports


@dataclass(frozen=True)
class Score:
    """The score of one reply."""

    rules: dict[str, bool]
    fidelity: Fidelity | None = None  # None: the row has no notes
    problems: tuple[str, ...] = ()  # empty, cut, looping

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
    def both(self) -> bool | None:
        """It keeps every rule and is faithful; None where the latter is unknown."""
        return None if self.faithful is None else self.all_rules and self.faithful

    def as_json(self) -> dict[str, Any]:
        """For reports."""
        names = ("adherence", "all_rules", "faithful", "both", "healthy", "problems")
        wrong = {kind: list(getattr(self.fidelity, kind)) for kind in fidelity.KINDS} if self.fidelity else {}
        return {"rules": self.rules, **{name: getattr(self, name) for name in names}, **wrong}


def score(reply: str, guide: Guide, notes: Sequence[str] = (), message: str = "") -> Score:
    """Score one reply."""
    parts = guide.parts(reply)
    kept = {rule.id: rule.allows(parts) for rule in guide.rules}
    found = fidelity.check(reply, notes, message, guide.own) if notes else None
    return Score(kept, found, problems(parts, guide.sign_offs))


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

"""Rewards for GRPO: the evaluator's measures as numbers from 0 to 1, without a reward model or a judge.

    >>> tone(guide)(["Hi! ..."])
    [0.55]

GRPO samples several replies to a message and makes those above their group's mean more probable (Shao et al.
2024, arXiv:2402.03300). It learns nothing from a group whose replies all score the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

from step4_finetune.data.rows import Row
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import Compared, score

Reward = Callable[..., list[float | None]]  # replies, and the columns of the rows by name


def tone(guide: Guide) -> Reward:
    """The share of the guide's rules that a reply keeps; 0 if it is empty, cut or looping."""

    def reward(completions: Sequence[Any], **_columns: Any) -> list[float | None]:
        scores = [score(_text(each), guide) for each in completions]
        return [each.adherence if each.healthy else 0.0 for each in scores]

    reward.__name__ = "tone"  # in TRL's log
    return reward


def faithful(guide: Guide) -> Reward:
    """1 minus a quarter for each fault of fidelity and each flaw, at least 0; None without notes."""

    def reward(
        completions: Sequence[Any],
        notes: Sequence[list[str]],
        message: Sequence[str],
        facts: Sequence[list[str]] = (),
        internal: Sequence[list[str]] = (),
        example: Sequence[str] = (),
        **_columns: Any,
    ) -> list[float | None]:
        rewards = []
        for at, completion in enumerate(completions):
            more = Compared(tuple(facts[at]), tuple(internal[at]), example[at]) if facts else Compared()
            rewards.append(_share(_text(completion), notes[at], message[at], guide, more))
        return rewards

    reward.__name__ = "faithful"
    return reward


def columns(row: Row) -> dict[str, Any]:
    """The columns of a row that the rewards need."""
    more = row.compared_with
    written_out = {"facts": list(more.facts), "internal": list(more.internal), "example": more.example}
    return {"notes": list(row.notes), "message": row.message, **written_out}


def _share(reply: str, notes: Sequence[str], message: str, guide: Guide, more: Compared) -> float | None:
    if not notes:
        return None
    found = score(reply, guide, notes, message, more)
    faults = [*(found.fidelity.findings() if found.fidelity else ()), *(found.flaws or ())]
    return max(0.0, 1 - len(faults) / 4)


def _text(completion: Any) -> str:
    """The text of a completion: TRL passes texts, or conversations of one message."""
    return completion if isinstance(completion, str) else str(completion[0]["content"])

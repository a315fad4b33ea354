"""Rewards for GRPO: what the evaluator measures, as numbers between 0 and 1. No reward model, no judge.

    >>> tone(guide)(["Hi! ..."])
    [0.55]

GRPO draws several replies to one message and moves the model towards those that score above their group's
mean (Shao et al. 2024, arXiv:2402.03300). Where all replies of a group score the same, it learns nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from step4_finetune.tone import fidelity
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import score

Reward = Callable[..., list[float | None]]  # replies, and the columns of the rows by name


def tone(guide: Guide) -> Reward:
    """The share of the guide's rules that a reply keeps, and 0 for one that is empty, cut or loops."""

    def reward(completions: Sequence[Any], **_columns: Any) -> list[float | None]:
        scores = [score(_text(each), guide) for each in completions]
        return [each.adherence if each.healthy else 0.0 for each in scores]

    reward.__name__ = "tone"  # TRL's name for it in the log
    return reward


def faithful(guide: Guide) -> Reward:
    """1 for a faithful reply, a quarter less for each thing missing, added or turned; None without notes."""

    def reward(
        completions: Sequence[Any], notes: Sequence[list[str]], message: Sequence[str], **_columns: Any
    ) -> list[float | None]:
        rows = zip(completions, notes, message, strict=True)
        return [_share(_text(reply), said, asked, guide) if said else None for reply, said, asked in rows]

    reward.__name__ = "faithful"
    return reward


def _share(reply: str, notes: Sequence[str], message: str, guide: Guide) -> float:
    found = fidelity.check(reply, notes, message, guide.company)
    return max(0.0, 1 - len(found.findings()) / 4)


def _text(completion: Any) -> str:
    """TRL hands over a conversation's turn, or a text."""
    return completion if isinstance(completion, str) else str(completion[0]["content"])

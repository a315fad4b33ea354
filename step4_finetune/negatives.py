"""Rejected replies for DPO: from the data, from another request, or the model's own mistakes.

DPO learns the difference between two replies, so it learns what the rejected ones do wrong, and no more:

    rejected   the row's own: the same content in the wrong tone (near misses: one to three rules broken)
    intent     a good reply to another request about the same topic: right tone, wrong deed
    policy     what the model to be trained itself wrote, where it broke a rule or did not do what was asked
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from step4_finetune.data import Row


def pairs(
    rows: Sequence[Row],
    kinds: Sequence[str],
    seed: int = 0,
    own: Callable[[], Sequence[str | None]] | None = None,
) -> list[Row]:
    """Rows with the rejected replies that `kinds` name, one pair for each row and kind where there is one.

    `own` gives for each row the model's own reply where it is a bad one (kind `policy`).
    """
    found: list[Row] = []
    if "rejected" in kinds:
        found += [row for row in rows if row.rejected]
    if "intent" in kinds:
        found += other_intents(rows, random.Random(seed))
    if "policy" in kinds and own:
        found += [replace(row, rejected=bad) for row, bad in zip(rows, own(), strict=True) if bad]
    return found


def other_intents(rows: Sequence[Row], draw: random.Random) -> list[Row]:
    """Each row against the chosen reply to another intent of its topic."""
    found = []
    for row in rows:
        others = [each.chosen for each in rows if each.topic == row.topic and each.intent != row.intent]
        if row.intent and others:
            found.append(replace(row, rejected=draw.choice(others), breaks=None))
    return found

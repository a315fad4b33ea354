"""Rejected replies for DPO: from the data, or the model's own mistakes.

DPO learns the difference between two replies, so it learns what the rejected ones do wrong, and no more:

    tone       the row's own rejected reply, where it breaks a rule (a near miss: the same content)
    facts      the row's own rejected reply, where it says something else than the notes, in the right tone
    rejected   both of them
    policy     what the model to be trained itself wrote, where it broke a rule or was not faithful
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from step4_finetune.data.rows import FACTS, Row


def pairs(
    rows: Sequence[Row],
    kinds: Sequence[str],
    own: Callable[[], Sequence[str | None]] | None = None,
) -> list[Row]:
    """Rows with the rejected replies that `kinds` name, one pair for each row and kind where there is one.

    `own` gives for each row the model's own reply where it is a bad one (kind `policy`).
    """
    found: list[Row] = []
    for row in rows:
        kind = "facts" if FACTS in (row.breaks or ()) else "tone"
        if row.rejected and ("rejected" in kinds or kind in kinds):
            found.append(row)
    if "policy" in kinds and own:
        found += [replace(row, rejected=bad) for row, bad in zip(rows, own(), strict=True) if bad]
    return found

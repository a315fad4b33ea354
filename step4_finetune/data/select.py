"""Rows chosen by split, topic or id, with the rules that each of their replies breaks."""

from collections.abc import Sequence
from typing import Any

from shared.errors import UserError
from step4_finetune.data.curate.finding import prompt_text, replies
from step4_finetune.data.rows import Row
from step4_finetune.tone import rules
from step4_finetune.tone.rules import Guide


def select(
    rows: Sequence[Row],
    guide: Guide | None,
    source: str,
    split: str | None = None,
    topic: str | None = None,
    row_id: str | None = None,
    limit: int = 3,
) -> dict[str, Any]:
    """The rows that the flags select, with the rules that their replies break.

    Raises:
        UserError: the flags select none; lists the splits and topics.
    """
    chosen = [
        row
        for row in rows
        if split in (None, row.split)
        and (topic is None or (row.topic or "").casefold() == topic.casefold())
        and row_id in (None, row.id)
    ]
    if not chosen:
        splits, topics = {row.split for row in rows}, {row.topic for row in rows if row.topic}
        raise UserError(
            f"{source} has no such row: its splits are {', '.join(sorted(splits))}, its topics "
            f"{', '.join(sorted(topics)[:8])}{' …' * (len(topics) > 8)}, ids are like {rows[0].id}"
        )
    shown = []
    for row in chosen[:limit]:
        broken = {name: rules.reasons(reply, guide) for name, reply in replies(row)} if guide else None
        texts = {"message": prompt_text(row), "chosen": row.chosen, "rejected": row.rejected}
        shown.append({**row.labels(), **texts, "broken": broken})
    return {
        "command": "step4_finetune data-show",
        "headline": f"{len(chosen)} of {len(rows)} rows of {source}",
        "found": len(chosen),
        "rows": shown,
    }

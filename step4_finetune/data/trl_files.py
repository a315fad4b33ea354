"""The rows as files for TRL's trainers, one for each split (`data build`).

Rows that can't be trained on are refused: empty replies, equal replies.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.errors import UserError
from step4_finetune.data.curate import schema
from step4_finetune.data.files import write_splits
from step4_finetune.data.rows import SPLITS, Row, fingerprint


def to_trl(row: Row, system: str, form: str) -> dict[str, Any]:
    """A row for TRL's SFTTrainer (`sft`) or DPOTrainer (`dpo`), as conversations under a system message.

    TRL ignores our other columns. dpo needs `rejected`.
    """
    chosen = [{"role": "assistant", "content": row.chosen}]
    replies: dict[str, Any] = {"completion": chosen}
    if form == "dpo":
        replies = {"chosen": chosen, "rejected": [{"role": "assistant", "content": row.rejected}]}
    return {"prompt": row.with_system(system), **replies, **row.labels()}


def run(rows: Sequence[Row], system: str, form: str, out: Path, source: str = "rows") -> dict[str, Any]:
    """Write `out`/train.jsonl, dev.jsonl and test.jsonl, for the splits that have rows.

    Raises:
        UserError: a row can't be trained on, or a file exists already.
    """
    used = [row for row in rows if form == "sft" or row.rejected is not None]
    if not used:
        raise UserError(f"{source} has no rejected replies, which dpo compares with: use --format sft")
    if cases := schema.schema(used).cases:
        raise UserError(f"{source}: row {cases[0].id}: {cases[0].example}; `data check` names all such rows")
    splits = {split: [to_trl(row, system, form) for row in used if row.split == split] for split in SPLITS}
    left_out = len(rows) - len(used)
    return {
        "command": "step4_finetune data-build",
        "headline": f"{len(used)} rows for {form}"
        + (f", {left_out} without a rejected reply left out" if left_out else "")
        + f"; system message: {system or 'none'}",
        "fingerprint": fingerprint(used),
        "splits": write_splits(out, splits),
    }

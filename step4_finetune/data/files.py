"""Rows into files: JSON lines or CSV, with the columns that they came with or in TRL's formats.

    >>> to_trl(row, "You answer members of Northwind Care.", "sft")
    {'prompt': [{'role': 'system', ...}, {'role': 'user', ...}], 'completion': [{'role': 'assistant', ...

A file is written whole or not at all: first beside its place, then moved there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.errors import UserError
from step4_finetune.data.rows import Row

SUFFIXES = (".jsonl", ".csv")
FORMATS = ("sft", "dpo")


def to_trl(row: Row, system: str, form: str) -> dict[str, Any]:
    """A row for TRL's SFTTrainer (`sft`) or DPOTrainer (`dpo`), as conversations under a system message.

    The columns that only this step knows stand beside; TRL passes over them. dpo needs `rejected`.
    """
    chosen = [{"role": "assistant", "content": row.chosen}]
    replies: dict[str, Any] = {"completion": chosen}
    if form == "dpo":
        replies = {"chosen": chosen, "rejected": [{"role": "assistant", "content": row.rejected}]}
    return {"prompt": row.with_system(system), **replies, **labels(row)}


def to_own(row: Row) -> dict[str, Any]:
    """A row in the form of the sample's file."""
    asked = {"message": row.message} if len(row.prompt) == 1 else {"prompt": list(row.prompt)}
    breaks = None if row.breaks is None else list(row.breaks)
    named = labels(row)
    return {
        **{key: named[key] for key in ("id", "topic", "split")},
        **asked,
        "notes": named["notes"],
        "chosen": row.chosen,
        "rejected": row.rejected,
        "breaks": breaks,
    }


def labels(row: Row) -> dict[str, Any]:
    """What is known of a row beside its texts."""
    return {
        "id": row.id,
        "topic": row.topic,
        "split": row.split,
        "notes": list(row.notes),
    }


def split_files(out: Path, splits: Iterable[str], *, force: bool) -> dict[str, Path]:
    """A .jsonl file for each split, in a folder that is there from now on; nothing is written yet.

    Raises:
        UserError: one of the files is there and `force` is not set, or the folder can't be made.
    """
    paths = {split: out / f"{split}.jsonl" for split in splits}
    taken = [path for path in paths.values() if path.exists()]
    if taken and not force:
        raise UserError(f"{taken[0]} is there already: name another folder with --out, or add --force")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror}; give another folder with --out") from None
    return paths


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """JSON lines, or CSV where the name says so.

    Raises:
        UserError: nothing can be written there.
    """
    if path.suffix != ".csv":
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return
    names = list(dict.fromkeys(name for row in rows for name in row if isinstance(name, str)))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    """A CSV cell holds no list: it is written as JSON, and read as such."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: nothing can be written there.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}") from None

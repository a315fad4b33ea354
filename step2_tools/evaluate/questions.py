"""Labelled questions: which calls does each ask for? One JSON object a line.

    {"id": "weather-04", "split": "dev", "kind": "weather", "question": "Will it rain in Dublin tomorrow?",
     "calls": [{"name": "get_weather", "input": {"city": ["Dublin"], "day": ["tomorrow"]}}]}

    >>> len(read(split="test"))
    100

Each argument has the list of values that are accepted (scoring.py says how they are compared). `split` and
`kind` may be left out in a file of your own. Prompts are tuned on `dev`. `test` was looked at often; `fresh`
was written after the adapter's training data, by an author who had not read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason

OURS = Path(__file__).parents[1] / "data" / "questions.jsonl"
FRESH = OURS.with_name("fresh.jsonl")


def read(path: Path | None = None, split: str | None = None) -> list[dict[str, Any]]:
    """The questions of a file, or ours; those of one split, or all.

    Raises:
        UserError: the file can't be read, a line is no labelled question, or none is left.
    """
    path = path or (FRESH if split == "fresh" else OURS)
    questions = []
    for number, row in json_lines(path):
        if not _is_labelled(row):
            raise UserError(
                f'{path} line {number} is no labelled question: it needs "id", "question", and "calls", '
                'a list of {"name": tool, "input": {argument: [accepted values]}}'
            )
        questions.append({"kind": "own", **row})
    chosen = [row for row in questions if split is None or row.get("split", split) == split]
    if not chosen:
        splits = sorted({str(row["split"]) for row in questions if "split" in row})
        raise UserError(f"{path} has no question of the split {split!r}: use {' or '.join(splits)}")
    return chosen


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file, each with its line number; empty lines are passed over.

    Raises:
        UserError: the file can't be read or is empty, or a line is no JSON object.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from None
    if not any(map(str.strip, lines)):
        raise UserError(f"{path} is empty: it should have one JSON object a line")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise UserError(f"{path} line {number} is no JSON object: there should be one on each line")
        yield number, row


def _is_labelled(row: dict[str, Any]) -> bool:
    calls = row.get("calls")
    return (
        isinstance(row.get("id"), str)
        and isinstance(row.get("question"), str)
        and isinstance(row.get("kind", ""), str)
        and isinstance(calls, list)
        and all(
            isinstance(call, dict)
            and isinstance(call.get("name"), str)
            and isinstance(call.get("input"), dict)
            and all(isinstance(accepted, list) for accepted in call["input"].values())
            for call in calls
        )
    )

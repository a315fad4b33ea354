"""General questions: what a tuned model should answer as the base does, without the company's tone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from step4_finetune.data.files import read_jsonl
from step4_finetune.data.rows import GENERAL


@dataclass(frozen=True)
class Question:
    """One general question; `answer` is empty where none can be checked."""

    prompt: str
    answer: str = ""


def read_questions(split: str, path: Path = GENERAL) -> list[Question]:
    """The general questions of a split; of a file of your own all that name none.

    Raises:
        UserError: the file can't be read, or a line of it is no question.
    """
    rows = [row for _, row in read_jsonl(path, ("prompt",)) if row.get("split", split) == split]
    return [Question(row["prompt"], str(row.get("answer") or "")) for row in rows]

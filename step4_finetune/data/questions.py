"""General questions: what a tuned model should answer as the base does, without the company's tone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError
from step4_finetune.data.rows import GENERAL


@dataclass(frozen=True)
class Question:
    """One general question; `answer` is empty where none can be checked."""

    id: str
    split: str
    kind: str
    prompt: str
    answer: str = ""


def questions(split: str, path: Path = GENERAL) -> list[Question]:
    """The general questions of a split; of a file of your own all that name none.

    Raises:
        UserError: the file can't be read, or a line of it is no question.
    """
    try:
        rows = [
            json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()
        ]
        found = [
            Question(
                str(row.get("id", number)),
                row.get("split", split),
                row.get("kind", ""),
                row["prompt"],
                row.get("answer", ""),
            )
            for number, row in enumerate(rows, 1)
        ]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        raise UserError(
            f"{path} is no file of questions: JSON lines with prompt, and answer where it can be checked"
        ) from None
    return [each for each in found if each.split == split]

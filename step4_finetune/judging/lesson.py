"""Passages and questions as training data: each question is a branch behind its passage, answered yes or no.

{"passage": "Either party may leave after 60 days.", "questions": [["How long is the notice?", true], ...]}

passage    "Passage: Either party ..."                       read once
branch 1   "Query: How long is the notice? Answered: yes"    learnt: the last token
branch 2   "Query: Who signed? Answered: no"                 learnt: the last token
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.embedded.judge import NO, YES, passage_text, question_text
from shared.errors import UserError
from step4_finetune.toolcalls.branches import BranchLesson

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class JudgeLesson(BranchLesson):
    """What the recipe `judge` trains on."""

    @classmethod
    def read(cls, path: Path, limit: int | None = None) -> JudgeLesson:
        """The rows of a file that `data build judge` wrote.

        Raises:
            UserError: the file is not there, or a line is no passage with questions.
        """
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:limit]]
            if not rows or not all(
                row["passage"] and all(_is_asked(q) for q in row["questions"]) for row in rows
            ):
                raise ValueError
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror}): "
                "`python -m step4_finetune data build judge --out DIR` writes DIR/train.jsonl"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path} holds no passages with questions: build it with data build judge"
            ) from None
        return cls(rows)

    def tokens(self, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, list[int]]]:
        """Ids of each row, a mask that is 1 at the answers, and the lengths of passage and branches."""

        def encode(text: str) -> list[int]:
            return tokenizer.encode(text, add_special_tokens=False)

        yes, no = encode(YES)[:1], encode(NO)[:1]
        found = []
        for row in self.rows:
            parts = [encode(passage_text(row["passage"]))]
            parts += [
                encode(question_text(text)) + (yes if answered else no) for text, answered in row["questions"]
            ]
            mask = [0] * len(parts[0])
            for part in parts[1:]:
                mask += [0] * (len(part) - 1) + [1]
            found.append(
                {
                    "input_ids": [each for part in parts for each in part],
                    "completion_mask": mask,
                    "seq_lengths": [len(part) for part in parts],
                }
            )
        return found


def _is_asked(question: Any) -> bool:
    return len(question) == 2 and isinstance(question[0], str) and isinstance(question[1], bool)

"""Passages and questions as training data: each question is a branch behind its passage, answered yes or no.

{"passage": "Either party may leave after 60 days.", "questions": [["How long is the notice?", true], ...]}

passage    "Passage: Either party ..."                       read once
branch 1   "Query: How long is the notice? Answered: yes"    learnt: the last token
branch 2   "Query: Who signed? Answered: no"                 learnt: the last token
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.embedded.judge import NO, YES, passage_text, question_text
from step4_finetune.train.branches import BranchData, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class JudgeData(BranchData):
    """What the recipe `judge` trains on."""

    recipe = "judge"
    holds = "passages with questions"

    @staticmethod
    def fits(row: Row) -> bool:
        """Whether it has a passage, and questions that are each marked as answered or not."""
        return bool(row["passage"]) and all(
            len(each) == 2 and isinstance(each[0], str) and isinstance(each[1], bool)
            for each in row["questions"]
        )

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

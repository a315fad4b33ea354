"""Passages and questions as training data: each question is a branch behind its passage, answered yes or no.

{"passage": "Either party may leave after 60 days.", "questions": [["How long is the notice?", true], ...]}

passage    "Passage: Either party ..."                       read once
branch 1   "Query: How long is the notice? Answered: yes"    learnt: the last token
branch 2   "Query: Who signed? Answered: no"                 learnt: the last token
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shared.embedded.judge import NO, YES, passage_text, question_text
from step4_finetune.train.branches import BranchData, Part, Row

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

    @staticmethod
    def parts(row: Row, tokenizer: PreTrainedTokenizerBase) -> Iterator[Part]:
        """The passage, then each question with its answer, of which one token counts."""
        encode = partial(tokenizer.encode, add_special_tokens=False)
        yield [(encode(passage_text(row["passage"])), False)]
        for text, answered in row["questions"]:
            yield [(encode(question_text(text)), False), (encode(YES if answered else NO)[:1], True)]

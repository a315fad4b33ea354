"""Forgetting: how a model answers general questions, and its perplexity on general text.

leak         general questions, asked without the company's system message, that are answered in its tone
answers      questions of fact and sums that are answered right
perplexity   how surprised the model is by a token of general text (step 1)
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from step4_finetune.data.files import read_jsonl
from step4_finetune.data.rows import SAMPLE
from step4_finetune.models.generate import replies
from step4_finetune.tone import text
from step4_finetune.tone.rules import Guide

GENERAL = SAMPLE.with_name("general.jsonl")
TEXT = GENERAL.with_name("general_text.txt")
ANSWER_TOKENS = 64


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


def leaks(reply: str, guide: Guide) -> bool:
    """Whether a reply to a general question speaks for the company: its greeting, sign-off, or name.

    "Dear Ms Hill," in a letter that somebody asked for is not a leak.
    """
    tidy = text.tidy(reply)
    return (
        any(text.begins(tidy, each) for each in guide.fixed_greetings)
        or any(text.ends(tidy, each) for each in guide.sign_offs)
        or guide.company.lower() in tidy.lower()
    )


def holds(reply: str, answer: str) -> bool:
    """Whether the reply contains the answer, as whole words or numbers."""
    return re.search(rf"(?<![\w.,]){re.escape(answer)}(?!\w)(?![.,]\d)", reply, re.IGNORECASE) is not None


@torch.inference_mode()
def perplexity(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, path: Path = TEXT) -> float:
    """exp of the mean negative log-likelihood of a token, over the paragraphs of a text file."""
    total, tokens = 0.0, 0
    for paragraph in path.read_text(encoding="utf-8").split("\n\n"):
        if not paragraph.strip():
            continue
        ids = torch.tensor([tokenizer(paragraph.strip())["input_ids"]], device=model.device)
        n = ids.shape[1] - 1
        total, tokens = total + float(model(input_ids=ids, labels=ids).loss) * n, tokens + n
    return math.exp(total / tokens)


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    guide: Guide,
    asked: Sequence[Question],
) -> dict[str, Any]:
    """Leak, right answers and perplexity of one model."""
    prompts = [[{"role": "user", "content": each.prompt}] for each in asked]
    got = replies(model, tokenizer, prompts, ANSWER_TOKENS)
    leaked = [leaks(reply.text, guide) for reply in got]
    checked = [holds(reply.text, each.answer) for each, reply in zip(asked, got, strict=True) if each.answer]
    return {
        "perplexity": perplexity(model, tokenizer),
        "asked": len(asked),
        "leaked": sum(leaked),
        "leaks": [each.prompt for each, bad in zip(asked, leaked, strict=True) if bad],
        "answers": len(checked),
        "right": sum(checked),
        "right_by_question": checked,
    }

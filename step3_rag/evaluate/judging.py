"""Answers handed on for another opinion: to a judge model, and to other tools as answers.jsonl.

    $ python -m step3_rag evaluate --answers --out report/
    $ python -m step5_serving compare 1 2 --judge claude-sonnet-5-5

A judge reads what words can't tell: "two months" is right where the reference says "60 days". It also errs,
and a small model can't do it at all; so its verdicts stand beside the words'.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared import prompts
from shared.config import Settings
from shared.report.record import writable
from step3_rag import PROMPTS
from step3_rag.evaluate.dataset import Question
from step3_rag.pipeline import Outcome

ANSWERS = "answers.jsonl"
Judge = Callable[[Question, str], bool | None]  # whether an answer is right; None: it can't be read
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": ["right", "wrong"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}


def judge_of(settings: Settings, model: str) -> Judge:
    """The judge as a function.

    Raises:
        UserError: the model can't be asked.
    """
    from shared.chat.client import chat_client
    from shared.chat.errors import one_line_errors, with_timeouts

    client = with_timeouts(chat_client(model, settings))
    prompt = prompts.load(PROMPTS, "judge")

    def judge(question: Question, answer: str) -> bool | None:
        text = f"Question: {question.text}\nReference: {' / '.join(question.answers)}\nAnswer: {answer}"
        with one_line_errors(model, settings):
            message = client.messages.create(
                model=model,
                max_tokens=50,
                system=prompts.render(prompt)["system"],
                messages=[{"role": "user", "content": text}],
                output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
            )
        try:
            said = json.loads("".join(block.text for block in message.content if block.type == "text"))
            return {"right": True, "wrong": False}.get(said["verdict"])
        except (ValueError, KeyError, TypeError):
            return None

    return judge


def write_answers(folder: Path, answers: Sequence[tuple[Question, Outcome]]) -> Path:
    """One JSON object a line, in the field names of Ragas.

    Raises:
        UserError: nothing can be written there.
    """
    path = writable(folder / ANSWERS)
    with path.open("w", encoding="utf-8") as file:
        for question, outcome in answers:
            row = {
                "id": question.id,
                "user_input": question.text,
                "response": outcome.answer.text,
                "reference": question.answers[0] if question.answers else None,
                "retrieved_contexts": [source.text for source in outcome.sources],
                "retrieved_context_ids": [source.document for source in outcome.sources],
                "reference_contexts": list(question.quotes),
                "reference_context_ids": list(question.qrels),
                "confidence": outcome.confidence,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path

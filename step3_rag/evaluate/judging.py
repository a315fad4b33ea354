"""Another opinion on an answer: a judge model's.

    $ python -m step5_serving compare 1 2 --judge claude-sonnet-5-5

A judge reads what words can't tell: "two months" is right where the reference says "60 days". It also errs,
and a small model can't do it at all; so its verdicts stand beside the words'.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from shared import prompts
from shared.config import Settings
from step3_rag import PROMPTS
from step3_rag.evaluate.dataset import Question

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

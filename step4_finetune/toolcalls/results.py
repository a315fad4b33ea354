"""The result of a tool call, or an error, and the model's answer to it."""

from __future__ import annotations

import json
import random
from typing import Any

from step4_finetune.toolcalls.domains import SLOT, Tool
from step4_finetune.toolcalls.material import Material

SENTENCES = ("summary", "summary", "summary", "message", "answer", "text")  # names of a field with a sentence


def result_of(
    tool: Tool, arguments: dict[str, Any], material: Material, chance: random.Random
) -> tuple[str, str, bool]:
    """The result of a call, the model's answer to it, and whether the call failed."""
    if not tool.answers or not tool.results:
        return "", "", False
    if chance.random() < 0.08:
        value = next((each for each in arguments.values() if isinstance(each, str)), "the request")
        error = chance.choice(material.errors).format(value=value)
        return error, chance.choice(material.failed).format(error=error), True
    facts = {name: chance.choice(values) for name, values in tool.results.items()}
    known = {name: in_words(value) for name, value in {**arguments, **facts}.items()}
    able = [text for text in tool.answers if all(match[2] in known for match in SLOT.finditer(text))]
    if not able:
        return "", "", False
    answer = SLOT.sub(lambda match: known[match[2]], able[0])
    whole: dict[str, Any] = dict(facts)
    if chance.random() < 0.3:
        whole = {**arguments, **whole}
    if chance.random() < 0.65:  # the answer is a sentence of the result
        answer = SLOT.sub(lambda match: known[match[2]], chance.choice(able))
        whole = {chance.choice(SENTENCES): answer, **whole, "source": "example data"}
    if chance.random() < 0.2:
        return "; ".join(f"{name}: {in_words(value)}" for name, value in whole.items()), answer, False
    return json.dumps(whole, ensure_ascii=False), answer, False


def in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)

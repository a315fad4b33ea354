"""How tools are put to the embedded model, and what counts for one: the tool chooser's prompt file.

    ---
    id: chooser
    neutral:
    - 'Small talk: greetings, thanks, feelings, jokes, opinions.'
    weights: {overlap: 2.0, meaning: 60.0, far: 0.1, bias: 4.0, cut: 4.0}
    ---
    # system

    Tool: {{name}}. {{description}} ({{parameters}})
    Question:

    # user

    Do I need a coat?

    # assistant

    {"name": "get weather", "description": "Get the weather.", "parameters": "city, day"}

The system section describes a tool. Its last line, where it has no variable, follows the neutral descriptions
(questions that need no tool), too. A demonstration is a question with the tool it belongs to, or with a
neutral description as a JSON string; the model reads them before all else. What all this does: chooser.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shared import prompts
from shared.embedded.words import as_words
from shared.errors import UserError

PROMPTS = Path(__file__).with_name("prompts")
VARIABLES = {"name", "description", "parameters"}  # as_words(name), on one line, names with commas
WEIGHTS = ("overlap", "meaning", "far", "bias", "cut")


@dataclass(frozen=True)
class Wording:
    """A chooser's prompt, ready to be used. `tool` takes name, description and parameters (`str.format`)."""

    tool: str
    neutral: tuple[str, ...]
    examples: str
    overlap: float  # nats for each nat of words that a text shares with a description
    meaning: float  # nats for each point of cosine between a text and a tool above `far`
    far: float
    bias: float  # nats in favour of no tool
    cut: float  # nats that a cut costs


@cache
def standard() -> Wording:
    """The wording that is used when no other is named."""
    return load()


def load(path: Path | None = None) -> Wording:
    """The wording of a prompt file, or version 1.

    Raises:
        UserError: it can't be read, or is no prompt of a chooser; the line names the file.
    """
    path = path or PROMPTS / "chooser.1.md"
    try:
        return of(prompts.read(path))
    except ValueError as error:
        raise UserError(f"{path} is no prompt of the tool chooser: {error}") from None


def of(prompt: prompts.Prompt) -> Wording:
    """What a prompt says.

    Raises:
        ValueError: it lacks a variable of the description, a neutral text or a weight.
    """
    if prompt.variables != VARIABLES:
        raise ValueError(f"# system must have the variables {', '.join(sorted(VARIABLES))}, and no other")
    neutral, weights = prompt.meta.get("neutral"), prompt.meta.get("weights")
    if not (isinstance(neutral, list) and neutral and all(isinstance(text, str) for text in neutral)):
        raise ValueError("neutral must be a list of texts")
    if not (isinstance(weights, dict) and weights.keys() == set(WEIGHTS)):
        raise ValueError(f"weights must have {', '.join(WEIGHTS)}")
    if not all(isinstance(value, int | float) and value == value for value in weights.values()):
        raise ValueError("the weights must be numbers")
    template = _template(prompt.system)
    suffix = prompt.system.rpartition("\n")[2]
    suffix = "" if prompts.VARIABLE.search(suffix) else f"\n{suffix}"
    shown = [_described(assistant, template, suffix) + f" {user}\n\n" for user, assistant in prompt.examples]
    numbers = {name: float(weights[name]) for name in WEIGHTS}
    return Wording(template, tuple(text + suffix for text in neutral), "".join(shown), **numbers)


def example(question: str, tool: dict[str, Any] | str) -> tuple[str, str]:
    """A demonstration as a prompt holds it; `tool` is a definition as the API takes it, or a neutral text."""
    return question, json.dumps(tool if isinstance(tool, str) else in_words(tool), ensure_ascii=False)


def in_words(tool: dict[str, Any]) -> dict[str, str]:
    """The variables of a tool's description."""
    parameters = tool["input_schema"].get("properties", {})
    return {
        "name": as_words(tool["name"]),
        "description": " ".join((tool.get("description") or "").split()),
        "parameters": ", ".join(map(as_words, parameters)),
    }


def _template(text: str) -> str:
    """`{{name}}` as `str.format` wants it, and single braces safe from it."""
    parts = prompts.VARIABLE.split(text)  # text, name, text, name, ...
    parts[::2] = [part.replace("{", "{{").replace("}", "}}") for part in parts[::2]]
    parts[1::2] = [f"{{{part}}}" for part in parts[1::2]]
    return "".join(parts)


def _described(said: str, template: str, suffix: str) -> str:
    """What a demonstration's question stands under.

    Raises:
        ValueError: `said` is neither a tool nor a neutral text as JSON.
    """
    value = json.loads(said)
    if isinstance(value, str):
        return value + suffix
    if not (isinstance(value, dict) and value.keys() == VARIABLES):
        raise ValueError(
            f"an example's answer must be JSON, a text or an object of {', '.join(sorted(VARIABLES))}"
        )
    return template.format(**value)

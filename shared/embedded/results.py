"""The answer, made of what the tools returned and of nothing else.

    >>> render([Result("get_weather", {"city": "Oslo"}, '{"summary": "It is 3 °C in Oslo."}', False)])
    'It is 3 °C in Oslo.'

A 135M model asked to put a result into words invents temperatures, so it isn't asked. A result that is a JSON
object speaks by its own sentence (a field "summary", "message", ...) or by its fields; text is repeated; an
error is said to be one. What stands in a result is data: nothing in it is read as an instruction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.embedded.words import as_words

SENTENCES = ("summary", "message", "answer", "text", "description", "result")
LONGEST = 600  # characters of one result that are said
DEEPEST = 2  # levels of an object that are spelled out


@dataclass(frozen=True)
class Result:
    """One tool call that was answered: its name and input, and the text of the `tool_result`."""

    name: str
    input: dict[str, Any]
    text: str
    is_error: bool


def render(results: Sequence[Result]) -> str:
    """All results in order, each as a sentence or more; a blank line between several."""
    said = [_say(result) for result in results]
    return (
        "\n\n".join(each for i, each in enumerate(said) if each not in said[:i])
        or "The tools returned nothing."
    )


def _say(result: Result) -> str:
    text = result.text.strip()
    what = as_words(result.name)
    if result.is_error:
        given = ", ".join(map(str, result.input.values()))
        return _cut(
            f"{what.capitalize()}{f' ({given})' if given else ''} gave no answer: {text or 'it failed'}"
        )
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return _cut(text)
    if isinstance(value, str):
        value = value.strip()
    if value is None or value in ("", [], {}):
        return f"{what.capitalize()} returned nothing."
    if isinstance(value, dict):
        for name in SENTENCES:
            if isinstance(value.get(name), str) and value[name].strip():
                return _cut(value[name].strip())
        return _cut(f"{what.capitalize()}: {_fields(value)}.")
    return _cut(value if isinstance(value, str) else f"{what.capitalize()}: {_value(value, 0)}")


def _fields(value: dict[str, Any], depth: int = 0) -> str:
    return "; ".join(f"{as_words(str(key))} {_value(each, depth)}" for key, each in value.items())


def _value(value: Any, depth: int) -> str:
    if value is None or value in ("", [], {}):
        return "nothing"
    if isinstance(value, dict):
        return f"({_fields(value, depth + 1)})" if depth < DEEPEST else "..."
    if isinstance(value, list):
        return ", ".join(_value(each, depth + 1) for each in value) if depth < DEEPEST else "..."
    return value if isinstance(value, str) else json.dumps(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} ... (cut, {len(text):,} characters)"

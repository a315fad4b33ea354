"""Tool calls that the model writes: the grammar that keeps them valid, and reading them.

    >>> schema = schema_of(tools)                  # a list of calls, each of an offered tool
    >>> text = "".join(engine.generate(prompt, 512, schema=schema, adapter=True))
    >>> read(text)
    [ToolCall(name='get_weather', input={'city': 'Rome', 'day': 'tomorrow'})]

Which tool is called, how often and with which arguments is the model's choice. The grammar only takes away
what is not a call: tools that are not offered, arguments that a tool doesn't have, values of a wrong type.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.embedded.grammar import UnsupportedSchema, grammar_of
from shared.embedded.wire import Refused

MOST = 8  # calls of one answer


@dataclass(frozen=True)
class ToolCall:
    """One call as a `tool_use` block has it."""

    name: str
    input: dict[str, Any]


def schema_of(tools: Sequence[dict[str, Any]], choice: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON schema of a list of calls; `choice` is the request's tool_choice.

    Raises:
        Refused: a tool's schema can't be enforced; names the tool.
    """
    choice = choice or {"type": "auto"}
    offered = [tool for tool in tools if choice["type"] != "tool" or tool["name"] == choice["name"]]
    for tool in offered:
        try:
            grammar_of(_list([tool]))
        except UnsupportedSchema as error:
            raise Refused(f"tools: the input_schema of {tool['name']} can't be enforced: {error}") from None
    most = 1 if choice.get("disable_parallel_tool_use") else MOST
    return _list(offered) | {"minItems": int(choice["type"] in ("any", "tool")), "maxItems": most}


def _list(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    items = [_call(tool, f"#/items/anyOf/{i}/properties/arguments") for i, tool in enumerate(tools)]
    return {"type": "array", "items": {"anyOf": items}}


def _call(tool: dict[str, Any], place: str) -> dict[str, Any]:
    """The schema of one call; `place` is where the tool's own schema stands in the whole."""
    arguments = {"additionalProperties": False, **_moved(tool["input_schema"], place)}
    return {
        "type": "object",
        "properties": {"name": {"const": tool["name"]}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(value: Any, place: str) -> Any:
    """A schema that now stands at `place`: its references point there, and its objects take no other names.

    Given the choice, a small model would write names that a tool doesn't know.
    """
    if isinstance(value, list):
        return [_moved(each, place) for each in value]
    if not isinstance(value, dict):
        return value
    moved = {
        key: place + each[1:] if key == "$ref" and str(each).startswith("#") else _moved(each, place)
        for key, each in value.items()
    }
    names, required = value.get("properties"), value.get("required", [])
    merged = value.keys() & {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"}
    if value.get("type") == "object" and isinstance(names, dict) and {*required} <= {*names} and not merged:
        return {"additionalProperties": False, **moved}
    return moved


def read(text: str) -> list[ToolCall]:
    """The calls of a text that the grammar allowed, each once; none where their list was cut."""
    try:
        calls = json.loads(text)
    except ValueError:
        return []
    found: list[ToolCall] = []
    for each in calls:
        call = ToolCall(each["name"], each["arguments"])
        if call not in found:
            found.append(call)
    return found

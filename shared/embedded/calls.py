"""Tool calls that the model writes: the JSON schema that keeps them valid, and the parser.

    >>> schema = calls_schema(tools)               # a list of calls, each of an offered tool
    >>> text = "".join(engine.generate(prompt, 512, schema=schema, adapter=True))
    >>> parse_calls(text)
    [('get_weather', {'city': 'Rome', 'day': 'tomorrow'})]

The model chooses the tools, how often it calls them, and the arguments. The schema only rules out invalid
calls: tools that are not offered, arguments that a tool doesn't have, values of a wrong type.
"""

import json
from collections.abc import Sequence
from typing import Any

from shared.embedded.guide import UnsupportedSchema, grammar_of
from shared.embedded.wire import Refused

Call = tuple[str, dict[str, Any]]  # the tool's name, its arguments
MAX_CALLS = 8  # in one answer


def calls_schema(tools: Sequence[dict[str, Any]], choice: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON schema of a list of calls; `choice` is the request's tool_choice.

    Raises:
        Refused: a tool's schema can't be enforced (the message names the tool).
    """
    choice = choice or {"type": "auto"}
    offered = [tool for tool in tools if choice["type"] != "tool" or tool["name"] == choice["name"]]
    for tool in offered:
        try:
            grammar_of(_list_schema([tool]))
        except UnsupportedSchema as error:
            raise Refused(f"tools: the input_schema of {tool['name']} can't be enforced: {error}") from None
    most = 1 if choice.get("disable_parallel_tool_use") else MAX_CALLS
    return _list_schema(offered) | {"minItems": int(choice["type"] in ("any", "tool")), "maxItems": most}


def _list_schema(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    items = [_call_schema(tool, f"#/items/anyOf/{i}/properties/arguments") for i, tool in enumerate(tools)]
    return {"type": "array", "items": {"anyOf": items}}


def _call_schema(tool: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema of one call; `path` is the JSON pointer of the tool's own schema inside the whole one."""
    arguments = {"additionalProperties": False, **_embed_schema(tool["input_schema"], path)}
    return {
        "type": "object",
        "properties": {"name": {"const": tool["name"]}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _embed_schema(value: Any, path: str) -> Any:
    """The schema as part of a larger one: references start at `path`, objects allow no additional properties.

    If they were allowed, a small model would write arguments that the tool doesn't have.
    """
    if isinstance(value, list):
        return [_embed_schema(each, path) for each in value]
    if not isinstance(value, dict):
        return value
    embedded = {
        key: path + each[1:] if key == "$ref" and str(each).startswith("#") else _embed_schema(each, path)
        for key, each in value.items()
    }
    names, required = value.get("properties"), value.get("required", [])
    combined = value.keys() & {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"}
    if value.get("type") == "object" and isinstance(names, dict) and {*required} <= {*names} and not combined:
        return {"additionalProperties": False, **embedded}
    return embedded


def parse_calls(text: str) -> list[Call]:
    """The calls in a text written under `calls_schema`, without duplicates; empty if the text was cut off."""
    try:
        rows = json.loads(text)
    except ValueError:
        return []
    calls: list[Call] = []
    for row in rows:
        call = row["name"], row["arguments"]
        if call not in calls:
            calls.append(call)
    return calls

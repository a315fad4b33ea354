"""Tool calls that the model writes: the JSON schema that keeps them valid, and the parser.

    >>> schema = calls_schema(request.tools)       # a list of calls, each of an offered tool
    >>> text = "".join(engine.generate(prompt, 512, schema=schema, adapter=True))
    >>> parse_calls(text)
    [ToolCall(name='get_weather', arguments={'city': 'Rome', 'day': 'tomorrow'})]

The model chooses the tools, how often it calls them, and the arguments. The schema only rules out invalid
calls: tools that are not offered, arguments that a tool doesn't have, values of a wrong type.
"""

import json
from collections.abc import Sequence
from typing import Any

from shared.embedded.guide import UnsupportedSchema, grammar_of
from shared.embedded.prompt import ToolCall
from shared.embedded.wire import Refused, Schema, ToolChoice, ToolDefinition

MAX_CALLS = 8  # in one answer
AUTO = ToolChoice(type="auto")  # what a request without `tool_choice` means
# Keywords by which the properties of an object may be named elsewhere.
COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"})


def calls_schema(tools: Sequence[ToolDefinition], choice: ToolChoice = AUTO) -> Schema:
    """The JSON schema of a list of calls.

    Raises:
        Refused: a tool's schema can't be enforced (the message names the tool).
    """
    if choice.type == "tool":
        tools = [tool for tool in tools if tool.name == choice.name]
    for tool in tools:
        try:
            grammar_of(_list_schema([tool]))
        except UnsupportedSchema as error:
            raise Refused(f"tools: the input_schema of {tool.name} can't be enforced: {error}") from None
    fewest = 1 if choice.is_forced else 0
    most = 1 if choice.disable_parallel_tool_use else MAX_CALLS
    return _list_schema(tools) | {"minItems": fewest, "maxItems": most}


def _list_schema(tools: Sequence[ToolDefinition]) -> Schema:
    calls = []
    for i, tool in enumerate(tools):
        calls.append(_call_schema(tool, f"#/items/anyOf/{i}/properties/arguments"))
    return {"type": "array", "items": {"anyOf": calls}}


def _call_schema(tool: ToolDefinition, path: str) -> Schema:
    """The schema of one call; `path` is the JSON pointer of the tool's own schema inside the whole one."""
    arguments = {"additionalProperties": False, **_embed_schema(tool.input_schema.as_json(), path)}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _embed_schema(value: Any, path: str) -> Any:
    """The schema as part of a larger one: references start at `path`, objects allow no additional properties.

    If they were allowed, a small model would write arguments that the tool doesn't have.
    """
    if isinstance(value, list):
        return [_embed_schema(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    embedded = {}
    for key, child in value.items():
        if key == "$ref" and str(child).startswith("#"):
            embedded[key] = path + child[1:]
        else:
            embedded[key] = _embed_schema(child, path)
    return {"additionalProperties": False, **embedded} if _lists_its_properties(value) else embedded


def _lists_its_properties(schema: Schema) -> bool:
    """Whether it is the schema of an object, and names all its properties itself."""
    properties = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(properties, dict):
        return False
    names_required_ones = set(schema.get("required", [])) <= properties.keys()
    return names_required_ones and not COMBINING & schema.keys()


def parse_calls(text: str) -> list[ToolCall]:
    """The calls in a text written under `calls_schema`, without duplicates; empty if the text was cut off."""
    try:
        rows = json.loads(text)
    except ValueError:
        return []
    calls: list[ToolCall] = []
    for row in rows:
        call = ToolCall(row["name"], row["arguments"])
        if call not in calls:
            calls.append(call)
    return calls

"""Checks a request as the Messages API does, and words the first error as it does.

    >>> body = {"model": "tiny", "max_tokens": 9}
    >>> validate_request(body | {"messages": [{"role": "assistant", "content": "Hi"}]})
    'messages: first message must use the "user" role'
    >>> validate_request(body | {"messages": [{"role": "user", "content": "Hi"}]})

The embedded backend answers 400 with that error; the tests check every request of the lessons. Shapes and
types come from the SDK's parameter types. The rules that types can't express, such as where a `tool_use` must
be answered, are written out below and in wire_messages.py. Beta fields and the limits of single models are
not checked.

Source: https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_type_hints

from anthropic import types
from anthropic.types import message_count_tokens_params, message_create_params

from shared.embedded.wire_messages import check_blocks, check_messages
from shared.embedded.wire_types import Wrong, by_type, check_list, check_type, kind_of

NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def validate_request(body: Any, *, count_tokens: bool = False) -> str | None:
    """The error for which the API would refuse this request body with a 400; None when it would take it.

    body: what is posted to /v1/messages, or to /v1/messages/count_tokens, which takes fewer fields.
    """
    try:
        _check_request(body, count_tokens)
    except Wrong as wrong:
        return str(wrong)
    return None


def _check_request(body: Any, count_tokens: bool) -> None:
    if not isinstance(body, dict):
        raise Wrong("", "the request body is not a JSON object")
    fields = _request_fields(count_tokens)
    for name in ("model", "messages") if count_tokens else ("model", "max_tokens", "messages"):
        if name not in body:
            raise Wrong(name, "Field required")
    for name, value in body.items():
        if name not in fields:
            raise Wrong(name, "Extra inputs are not permitted")
        if name not in ("messages", "tools", "tool_choice", "system"):  # checked below, by their own rules
            check_type(fields[name], value, name)
    if not body["model"]:
        raise Wrong("model", "String should have at least 1 character")
    if body.get("max_tokens", 1) < 1:
        raise Wrong("max_tokens", "Input should be greater than or equal to 1")
    system = body.get("system", "")
    if not isinstance(system, str):
        check_blocks(system, "system", allowed=("text",))
    names = _check_tools(body.get("tools", []))
    _check_tool_choice(body.get("tool_choice"), names)
    _check_output_format(body)
    check_messages(body["messages"])


@cache
def _request_fields(count_tokens: bool) -> dict[str, Any]:
    """Name and type of every top-level field."""
    if count_tokens:
        return get_type_hints(message_count_tokens_params.MessageCountTokensParams)
    return get_type_hints(message_create_params.MessageCreateParamsBase) | {"stream": bool}


def _check_tools(tools: Any) -> set[str]:
    """Check the definitions of the tools, and return their names."""
    check_list(tools, "tools")
    for i, tool in enumerate(tools):
        custom = (
            not isinstance(tool, dict) or tool.get("type") is None
        )  # a tool that the client runs needs no type
        kind = "custom" if custom else kind_of(tool, types.ToolUnionParam, f"tools.{i}")
        where = f"tools.{i}.{kind}"
        check_type(by_type(types.ToolUnionParam)[kind], tool, where)
        if kind == "custom":
            if not NAME.fullmatch(tool["name"]):
                raise Wrong(f"{where}.name", f"String should match pattern '^{NAME.pattern}$'")
            if tool["input_schema"].get("type") != "object":
                raise Wrong(f"{where}.input_schema.type", "Input should be 'object'")
            check_type(dict[str, Any] | None, tool["input_schema"].get("properties"), f"{where}.input_schema")
            check_type(list[str] | None, tool["input_schema"].get("required"), f"{where}.input_schema")
    names = [tool["name"] for tool in tools if "name" in tool]
    if len(names) > len(set(names)):
        raise Wrong("tools", "Tool names must be unique.")
    return set(names)


def _check_tool_choice(choice: Any, names: set[str]) -> None:
    if choice is None:
        return
    kind = kind_of(choice, types.ToolChoiceParam, "tool_choice")
    check_type(by_type(types.ToolChoiceParam)[kind], choice, f"tool_choice.{kind}")
    if not names and kind != "none":
        raise Wrong("tool_choice", "may only be specified while providing tools")
    if kind == "tool" and choice["name"] not in names:
        raise Wrong("tool_choice.name", f"Tool '{choice['name']}' not found in provided tools")


def _check_output_format(body: dict[str, Any]) -> None:
    """Check that every object in the schema says `additionalProperties: false`."""
    output_format = (body.get("output_config") or {}).get("format")
    if output_format is None:
        return
    for schema in _objects(output_format["schema"]):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            raise Wrong(
                "output_config.format.schema",
                "For 'object' type, 'additionalProperties' must be explicitly set to false",
            )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a value, the value included."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(each)

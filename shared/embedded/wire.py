"""Is this JSON what the Messages API takes, and what it sends? The first thing wrong, in its own manner.

    >>> body = {"model": "tiny", "max_tokens": 9}
    >>> validate_request(body | {"messages": [{"role": "assistant", "content": "Hi"}]})
    'messages: first message must use the "user" role'
    >>> validate_request(body | {"messages": [{"role": "user", "content": "Hi"}]})

The embedded backend answers 400 with it, and the tests hold every request and reply of the lessons against
it. Shapes and types come from the SDK's own parameter types; the rules that types can't say (which
`tool_use` is answered where) are written out below. Beta fields and limits of single models are not known
here.

Source: https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_type_hints

from anthropic import types
from anthropic.types import message_count_tokens_params, message_create_params

from shared.embedded.wire_messages import ID, check_blocks, check_messages
from shared.embedded.wire_types import Wrong, by_type, check_list, check_type, kind_of

NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def validate_request(body: Any, *, count_tokens: bool = False) -> str | None:
    """The first reason for which the API would refuse this request body with a 400; None when there is none.

    `body` is what is posted to /v1/messages, or to /v1/messages/count_tokens, which takes fewer fields.
    """
    try:
        _check_request(body, count_tokens)
    except Wrong as wrong:
        return str(wrong)
    return None


def validate_reply(body: Any) -> str | None:
    """The first thing for which `body` is not a finished Message as the API sends it; None when it is one."""
    try:
        _check_reply(body)
    except Wrong as wrong:
        return str(wrong)
    return None


# --- requests -----------------------------------------------------------------------------------------


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
        if name not in ("messages", "tools", "tool_choice", "system"):  # those have rules of their own, below
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
    """Their names, once their definitions are found right."""
    check_list(tools, "tools")
    for i, tool in enumerate(tools):
        custom = not isinstance(tool, dict) or tool.get("type") is None  # a tool of one's own needs no type
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
    """Every object of the schema must say `additionalProperties: false`."""
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
    """Every JSON object in a schema, itself included."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(each)


# --- replies ------------------------------------------------------------------------------------------


def _check_reply(body: Any) -> None:
    if not isinstance(body, dict):
        raise Wrong("", "the reply is not a JSON object")
    for name in ("stop_reason", "stop_sequence"):  # null while a reply streams, never left out
        if name not in body:
            raise Wrong(name, "Field required")
    blocks: Any = body.get("content")
    check_list(blocks, "content")
    union = get_args(types.ContentBlock)[0]
    for i, block in enumerate(blocks):
        kind = kind_of(block, union, f"content.{i}")
        check_type(by_type(union)[kind], block, f"content.{i}.{kind}")
    check_type(types.Message, body, "message")
    reason, calls = body["stop_reason"], [each for each in blocks if each["type"] == "tool_use"]
    if reason is None:
        raise Wrong("stop_reason", "a finished message has one")
    if (reason == "stop_sequence") != (body["stop_sequence"] is not None):
        raise Wrong("stop_sequence", "is given when, and only when, stop_reason is 'stop_sequence'")
    if reason == "tool_use" and not calls:
        raise Wrong("stop_reason", "'tool_use' without a tool_use block")
    if calls and reason in ("end_turn", "stop_sequence", "pause_turn"):
        raise Wrong("stop_reason", f"{reason!r} with a tool_use block")
    ids = [call["id"] for call in calls]
    if len(ids) > len(set(ids)):
        raise Wrong("content", "`tool_use` ids must be unique")
    for call in calls:
        if not ID.fullmatch(call["id"]) or not NAME.fullmatch(call["name"]):
            raise Wrong(
                "content", f"id {call['id']!r} or name {call['name']!r} of a `tool_use` can't be sent back"
            )
    for name, count in body["usage"].items():
        if name.endswith("_tokens") and count is not None and count < 0:
            raise Wrong(f"usage.{name}", "Input should be greater than or equal to 0")

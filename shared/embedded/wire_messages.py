"""The rules of a conversation: whose turn is first, what a turn may hold, which `tool_use` is answered where.

    user       What is the weather in Bangkok?
    assistant  tool_use toolu_1, tool_use toolu_2
    user       tool_result toolu_1, tool_result toolu_2      all of them, in the very next turn, at its start

Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from anthropic import types
from anthropic.types import tool_result_block_param

from shared.embedded.wire_types import Wrong, by_type, check_list, check_type, kind_of

ID = re.compile(r"[a-zA-Z0-9_-]+")
Block = dict[str, Any]
IN_RESULTS = by_type(tool_result_block_param.Content)
ONLY_IN = {"tool_use": "assistant", "thinking": "assistant", "tool_result": "user", "image": "user"}


def check_messages(messages: Any) -> None:
    """The turns, one by one and together.

    Raises:
        Wrong: the first thing that the API would refuse.
    """
    check_list(messages, "messages")
    if not messages:
        raise Wrong("messages", "at least one message is required")
    for i, message in enumerate(messages):
        _check_message(message, f"messages.{i}", is_last=i == len(messages) - 1)
    if messages[0]["role"] != "user":
        raise Wrong("messages", 'first message must use the "user" role')
    seen: set[str] = set()
    open_ids: list[str] = []  # the tool_use blocks that the next message has to answer
    for i, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        _check_answers(blocks, open_ids, i)
        open_ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
        for each in open_ids:
            if each in seen:
                raise Wrong(f"messages.{i}", f"`tool_use` ids must be unique: {each}")
            seen.add(each)
    if open_ids:
        raise _unanswered(len(messages) - 1, open_ids)


def _check_message(message: Any, where: str, *, is_last: bool) -> None:
    if not isinstance(message, dict):
        raise Wrong(where, "Input should be an object")
    for name in ("role", "content"):
        if name not in message:
            raise Wrong(f"{where}.{name}", "Field required")
    role, content = message["role"], message["content"]
    if role not in ("user", "assistant", "system"):
        raise Wrong(f"{where}.role", f"Input should be 'user', 'assistant' or 'system', not {role!r}")
    for name in message:
        if name not in ("role", "content"):
            raise Wrong(f"{where}.{name}", "Extra inputs are not permitted")
    if not content and isinstance(content, str | list) and not (role == "assistant" and is_last):
        raise Wrong(
            where, "all messages must have non-empty content except for the optional final assistant message"
        )
    if isinstance(content, list):
        check_blocks(content, f"{where}.content", ("text",) if role == "system" else (), role)
    elif not isinstance(content, str):
        raise Wrong(f"{where}.content", "Input should be a string or a list of content blocks")
    elif is_last and role == "assistant" and content != content.rstrip():
        raise Wrong("messages", "final assistant content cannot end with trailing whitespace")


def _check_answers(blocks: list[Block], open_ids: list[str], i: int) -> None:
    """Each `tool_use` of the message before has exactly one result, and all of them come first."""
    results = [(j, block["tool_use_id"]) for j, block in enumerate(blocks) if block["type"] == "tool_result"]
    for j, each in results:
        if each not in open_ids:
            raise Wrong(
                f"messages.{i}.content.{j}",
                f"unexpected `tool_use_id` found in `tool_result` blocks: {each}. Each `tool_result` block "
                "must have a corresponding `tool_use` block in the previous message.",
            )
    for each, n in Counter(each for _, each in results).items():
        if n > 1:
            raise Wrong(
                f"messages.{i}",
                f"each `tool_use` must have a single result. Found multiple `tool_result` blocks: {each}",
            )
    first = [block["tool_use_id"] for block in blocks[: len(open_ids)] if block["type"] == "tool_result"]
    missing = [each for each in open_ids if each not in first]
    if missing:
        raise _unanswered(i - 1, missing)


def _unanswered(i: int, ids: list[str]) -> Wrong:
    return Wrong(
        f"messages.{i}",
        f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(ids)}. Each "
        "`tool_use` block must have a corresponding `tool_result` block at the start of the next message.",
    )


def check_blocks(blocks: Any, where: str, allowed: tuple[str, ...] = (), role: str = "") -> None:
    """Content blocks: each of a known type (or one of those allowed), and of that type's shape."""
    check_list(blocks, where)
    for i, block in enumerate(blocks):
        kind = kind_of(block, types.ContentBlockParam, f"{where}.{i}", allowed)
        if role and role != ONLY_IN.get(kind, role):
            raise Wrong(f"{where}.{i}", f"`{kind}` blocks can only be in `{ONLY_IN[kind]}` messages")
        here = f"{where}.{i}.{kind}"
        if kind == "tool_result" and isinstance(block.get("content"), list):
            check_blocks(block["content"], f"{here}.content", tuple(IN_RESULTS))
        check_type((by_type(types.ContentBlockParam) | IN_RESULTS)[kind], block, here)
        if kind == "text" and not block["text"]:
            raise Wrong(here, "text content blocks must be non-empty")
        if kind in ("tool_use", "tool_result"):
            name = "id" if kind == "tool_use" else "tool_use_id"
            if not ID.fullmatch(block[name]):
                raise Wrong(f"{here}.{name}", f"String should match pattern '^{ID.pattern}$'")

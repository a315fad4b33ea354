"""What the embedded model can't do: a 400 that says so, and nothing of a request is dropped silently.

    >>> refuse({"model": "tiny", "max_tokens": 9, "messages": [...], "thinking": {"type": "adaptive"}})
    Refused: thinking: the embedded model can't think before it answers; leave it out or disable it

It is asked about requests that have the wire format (wire.py has checked them). Accepted although nothing
comes of them, because nothing is lost either:

    cache_control           the engine keeps what it has read anyway
    metadata                names the user to somebody who hunts abuse; nobody does here
    service_tier            both values ask for no more than the one tier that there is
    strict                  every tool's input is held to its schema, strict or not
    eager_input_streaming   how finely a tool's input is cut when it streams; here it comes whole

Source: https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

WHO = "the embedded model"

# Top-level fields that ask for something; null asks for nothing.
FIELDS = {
    "container": f"{WHO} has no containers",
    "diagnostics": f"{WHO} can't explain what its cache held",
    "inference_geo": f"{WHO} runs on this machine, wherever that is",
    "user_profile_id": f"{WHO} knows no user profiles",
    "workspace_id": f"{WHO} knows no workspaces",
}


class Refused(Exception):
    """A request that gets an error for an answer: HTTP status, the API's name for it, and the line."""

    def __init__(self, message: str, status: int = 400, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def refuse(body: dict[str, Any]) -> None:
    """Look for what this backend can't do.

    Raises:
        Refused: the first such thing.
    """
    for where, what in _impossible(body):
        raise Refused(f"{where}: {what}")


def _impossible(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, what in FIELDS.items():
        if body.get(name) is not None:
            yield name, what
    if body.get("thinking", {}).get("type", "disabled") != "disabled":
        yield "thinking", f"{WHO} can't think before it answers; leave it out or disable it"
    if body.get("speed") == "fast":
        yield "speed", f"{WHO} has one speed"
    config = body.get("output_config", {})
    if config.get("effort") is not None:
        yield "output_config.effort", f"{WHO} always does its best"
    if any(not stop.strip() for stop in body.get("stop_sequences", [])):
        yield "stop_sequences", "each stop sequence must contain non-whitespace"
    yield from _in_tools(body.get("tools", []))
    if isinstance(system := body.get("system", ""), list):
        yield from _in_blocks(system, "system")
    for i, message in enumerate(body["messages"]):
        if isinstance(message["content"], list):
            yield from _in_blocks(message["content"], f"messages.{i}.content")
    if body["messages"][-1]["role"] == "assistant" and body["messages"][-1]["content"]:
        if config.get("format") is not None:
            yield "messages", "an assistant message to continue can't be combined with output_config.format"
        if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
            yield "messages", "an assistant message to continue can't be combined with a forced tool"


def _in_tools(tools: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for i, tool in enumerate(tools):
        kind = tool.get("type") or "custom"
        if kind != "custom":
            yield f"tools.{i}", f"{WHO} has no `{kind}`; it takes tools with an input_schema"
        if tool.get("defer_loading"):
            yield f"tools.{i}.defer_loading", f"{WHO} has no tool search that could load it"
        if set(tool.get("allowed_callers", ())) - {"direct"}:
            yield f"tools.{i}.allowed_callers", f"{WHO} runs no code that could call it"


def _in_blocks(blocks: list[dict[str, Any]], where: str) -> Iterator[tuple[str, str]]:
    for i, block in enumerate(blocks):
        kind, here = block["type"], f"{where}.{i}"
        if kind not in ("text", "tool_use", "tool_result"):
            yield here, f"{WHO} reads text and tool results, no `{kind}` blocks"
        if block.get("citations"):
            yield f"{here}.citations", f"{WHO} can't cite"
        if block.get("toolset_name") is not None:
            yield f"{here}.toolset_name", f"{WHO} has no toolsets"
        if block.get("caller", {}).get("type", "direct") != "direct":
            yield f"{here}.caller", f"{WHO} runs no code that could have called it"
        if kind == "tool_result" and isinstance(block.get("content"), list):
            yield from _in_blocks(block["content"], f"{here}.content")

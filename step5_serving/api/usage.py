"""What a message's telemetry needs of its stream, picked up while the stream goes by.

tally = Tally()
for event in events: tally.add(event.data)
tally.text, tally.stop_reason, tally.usage
"""

from __future__ import annotations

import time
from typing import Any

from step5_serving.telemetry.call import Call
from step5_serving.telemetry.prices import cost_of


class Tally:
    """Counts one message, whole or in events."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.usage: dict[str, Any] = {}
        self.stop_reason: str | None = None
        self.model: str | None = None
        self.first: float | None = None  # seconds until the first piece of text
        self.error: dict[str, Any] | None = None  # of an `error` event: the engine broke off
        self.ended = False
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, data: Any) -> None:
        """One event's JSON; one that is none of the Messages API's counts for nothing."""
        if not isinstance(data, dict):
            return
        try:
            self._add(data)
        except (KeyError, TypeError, AttributeError):
            self.error = {"type": "api_error", "message": f"an event of no sense: {str(data)[:100]}"}

    def _add(self, data: dict[str, Any]) -> None:
        match data.get("type"):
            case "content_block_delta":
                if self.first is None:
                    self.first = time.perf_counter() - self.began
                self._pieces.append(data["delta"].get("text") or "")
            case "message_start":
                self.model = data["message"].get("model")
                self.usage |= data["message"].get("usage") or {}
            case "message_delta":
                self.stop_reason = data["delta"].get("stop_reason")
                self.usage |= {k: v for k, v in (data.get("usage") or {}).items() if v is not None}
            case "message_stop":
                self.ended = True
            case "error":
                self.error = data.get("error") or {}

    def whole(self, message: Any) -> None:
        """A message that came in one piece."""
        try:
            self.usage, self.model = {**message["usage"]}, message["model"]
            self._pieces = [block.get("text") or "" for block in message["content"]]
            self.stop_reason, self.ended = message["stop_reason"], message["type"] == "message"
        except (KeyError, TypeError, AttributeError):
            self.ended = False  # it is none

    def fill(self, call: Call) -> None:
        """Note it in the call's row."""
        call.answer, call.finish_reason = self.text, self.stop_reason
        call.model = self.model or call.model
        if "input_tokens" in self.usage:
            cached = ("cache_read_input_tokens", "cache_creation_input_tokens")
            call.input_tokens = (self.usage["input_tokens"] or 0) + sum(
                self.usage.get(name) or 0 for name in cached
            )
        call.output_tokens = self.usage.get("output_tokens")
        call.cost_usd = cost_of(call.model, call.input_tokens, call.output_tokens)
        call.generate_ms = round(1000 * (time.perf_counter() - self.began), 3)
        if self.first is not None:
            call.first_token_ms = round(1000 * self.first + (call.queue_ms or 0.0), 3)


def question_of(body: Any) -> str | None:
    """What the user said last, as text."""
    messages = body.get("messages") if isinstance(body, dict) else None
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            blocks = content if isinstance(content, list) else []
            texts = [each.get("text") for each in blocks if isinstance(each, dict)]
            return "\n".join(text for text in texts if isinstance(text, str)) or None
    return None


def parameters_of(body: Any) -> dict[str, Any]:
    """How it was asked: everything of a request but what was said."""
    said = {"messages", "system", "tools", "metadata"}
    return {k: v for k, v in body.items() if k not in said} if isinstance(body, dict) else {}

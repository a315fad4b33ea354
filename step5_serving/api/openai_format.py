"""OpenAI's chat completions, told in the Messages API's words and back.

    >>> to_messages({"model": "tiny", "max_tokens": 9, "messages": [
    ...     {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]})
    {'model': 'tiny', 'max_tokens': 9, 'system': 'Be brief.', 'messages': [{'role': 'user', 'content': 'Hi'}]}

Text in and out, streamed or whole, `stop`, `max_tokens`, `response_format` with a JSON schema, `usage`. What
can't be told in the other's words (tools, n > 1, logprobs, images) is refused in one line, never dropped in
silence. Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

from step5_serving.errors import ApiError

MAX_TOKENS = 1024  # where nobody says: the Messages API wants a number
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
PASSED = ("temperature", "top_p")  # the same in both; an engine that knows neither says so
# Names that change nothing of the answer, and those with a value that changes nothing.
IDLE = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "seed"}
ONLY = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "modalities": (["text"],),
}
KNOWN = {"model", "messages", "max_tokens", "max_completion_tokens", "stop", "stream", "stream_options"}
KNOWN |= {"response_format", *PASSED, *IDLE, *ONLY}


def wrong(message: str) -> ApiError:
    """A request that can't be told in the other API's words."""
    return ApiError(400, "invalid_request_error", message)


def to_messages(body: Any) -> dict[str, Any]:
    """A request for chat completions as one for messages.

    Raises:
        ApiError: what is wrong with it, or what can't be done here.
    """
    if not isinstance(body, dict):
        raise wrong("the request body is not a JSON object")
    given = {name: value for name, value in body.items() if value is not None}
    for name, value in given.items():
        if name not in KNOWN:
            raise wrong(f"{name[:60]!r} is not supported here: leave it out")
        if name in ONLY and value not in ONLY[name]:
            raise wrong(f"{name} is not supported here: leave it out, or use /v1/messages")
    if not isinstance(given.get("model"), str):
        raise wrong("model is missing: name one of /v1/models")
    system, messages = _turns(given.get("messages"))
    told: dict[str, Any] = {"model": given["model"], "max_tokens": _limit(given)}
    if system:
        told["system"] = "\n\n".join(system)
    told["messages"] = messages
    if "stop" in given:
        stop = [given["stop"]] if isinstance(given["stop"], str) else given["stop"]
        if not isinstance(stop, list) or not all(isinstance(each, str) for each in stop) or len(stop) > 4:
            raise wrong("stop must be a string, or up to four of them")
        told["stop_sequences"] = stop
    if not isinstance(given.get("stream", False), bool):
        raise wrong("stream must be true or false")
    if given.get("stream"):
        told["stream"] = True
    told |= {name: given[name] for name in PASSED if name in given}
    if schema := _schema(given.get("response_format")):
        told["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return told


def _turns(messages: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """The system messages, and the turns of user and assistant."""
    if not isinstance(messages, list) or not messages:
        raise wrong("messages must be a list of at least one message")
    system, turns = list[str](), list[dict[str, Any]]()
    for i, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "developer", "user", "assistant"):
            raise wrong(f"messages[{i}].role must be system, developer, user or assistant")
        if message.get("tool_calls") or message.get("function_call"):
            raise wrong(f"messages[{i}].tool_calls: tools are not supported here: use /v1/messages")
        text = _text(message.get("content"), i)
        if role in ("system", "developer"):
            system.append(text)
        else:
            turns.append({"role": role, "content": text})
    if not turns:
        raise wrong("messages must hold at least one of the user")
    return system, turns


def _text(content: Any, i: int) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            raise wrong(f"messages[{i}].content must be a text, or a list of parts of type text")
    return "".join(part["text"] for part in parts)


def _limit(given: dict[str, Any]) -> int:
    limit = given.get("max_completion_tokens", given.get("max_tokens", MAX_TOKENS))
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise wrong("max_tokens must be a whole number from 1")
    return limit


def _schema(wanted: Any) -> dict[str, Any] | None:
    kind = wanted.get("type") if isinstance(wanted, dict) else wanted
    if kind in (None, "text"):
        return None
    schema = wanted.get("json_schema") if kind == "json_schema" and isinstance(wanted, dict) else None
    found = schema.get("schema") if isinstance(schema, dict) else None
    if not isinstance(found, dict):
        raise wrong("response_format must be of type text, or json_schema with a schema")
    return found


def wants_usage(body: Any) -> bool:
    """Whether a stream is to end with the usage."""
    options = body.get("stream_options") if isinstance(body, dict) else None
    return isinstance(options, dict) and options.get("include_usage") is True


# --- replies ------------------------------------------------------------------------------------------


def usage_of(usage: dict[str, Any]) -> dict[str, Any]:
    """Prompt tokens count whether they came from a cache or not."""
    cached = usage.get("cache_read_input_tokens") or 0
    read = (usage.get("input_tokens") or 0) + cached + (usage.get("cache_creation_input_tokens") or 0)
    written = usage.get("output_tokens") or 0
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def completion(message: dict[str, Any]) -> dict[str, Any]:
    """A whole message as a chat completion."""
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    finish = FINISH.get(message["stop_reason"], "stop")
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": message["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": usage_of(message["usage"]),
    }


class Chunks:
    """The events of a message as chunks of a chat completion. The last ones come by `end`."""

    def __init__(self, model: str, *, with_usage: bool) -> None:
        self._with_usage = with_usage
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def of(self, data: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What one event of a message says."""
        match data.get("type"):
            case "message_start":
                self._head["model"] = data["message"].get("model", self._head["model"])
                yield self._chunk({"role": "assistant", "content": ""})
            case "content_block_delta" if data["delta"].get("type") == "text_delta":
                yield self._chunk({"content": data["delta"]["text"]})

    def end(self, stop_reason: str | None, usage: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Why it ended, and what it took."""
        yield self._chunk({}, FINISH.get(stop_reason or "", "stop"))
        if self._with_usage:
            yield {**self._head, "choices": [], "usage": usage_of(usage)}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._with_usage else {}
        return {**self._head, "choices": [choice], **usage}

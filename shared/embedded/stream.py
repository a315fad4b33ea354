"""An answer as the API sends it: a stream of events, or one message assembled from them.

    message_start          the message without content; its usage has the input tokens
    content_block_start    a text block, or a tool_use block
    content_block_delta    a piece of its text, or its input as JSON; repeated
    content_block_stop
    message_delta          stop_reason and the final usage
    message_stop

Source: https://docs.claude.com/en/docs/build-with-claude/streaming
"""

import json
import secrets
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from shared.embedded.backend import Answer

Event = dict[str, Any]


def events(answer: Answer, model: str) -> Generator[Event, None, None]:
    """The events of an answer, as its text is generated. Closing the iterator stops the generation."""
    message = {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(answer),
    }
    try:
        yield {"type": "message_start", "message": message}
        yield from _text_events(answer.text)
        for i, call in enumerate(answer.calls):
            # A random id is unique even if this call becomes part of another conversation.
            block = {"type": "tool_use", "id": f"toolu_{secrets.token_hex(12)}", "name": call.name}
            yield _start(i, {**block, "input": {}})
            arguments = json.dumps(call.input, ensure_ascii=False)
            yield _delta(i, {"type": "input_json_delta", "partial_json": arguments})
            yield {"type": "content_block_stop", "index": i}
    finally:
        answer.text.close()
    stopped = {"stop_reason": answer.stop_reason, "stop_sequence": None}
    yield {"type": "message_delta", "delta": stopped, "usage": _usage(answer)}
    yield {"type": "message_stop"}


def assemble_message(events: Iterable[Event]) -> dict[str, Any]:
    """The whole message, assembled from its events."""
    message: dict[str, Any] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(dict(event["content_block"]))
            case "content_block_delta" if event["delta"]["type"] == "text_delta":
                message["content"][event["index"]]["text"] += event["delta"]["text"]
            case "content_block_delta":
                message["content"][event["index"]]["input"] = json.loads(event["delta"]["partial_json"])
            case "message_delta":
                message |= event["delta"] | {"usage": event["usage"]}
    return message


def _text_events(pieces: Iterable[str]) -> Iterator[Event]:
    """The events of one text block; none if there is no text."""
    started = False
    for piece in pieces:
        if piece and not started:
            yield _start(0, {"type": "text", "text": ""})
            started = True
        if piece:
            yield _delta(0, {"type": "text_delta", "text": piece})
    if started:
        yield {"type": "content_block_stop", "index": 0}


def _start(index: int, block: dict[str, Any]) -> Event:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, delta: dict[str, Any]) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _usage(answer: Answer) -> dict[str, int]:
    """The token counts so far. The number of cached tokens is known once generation has started."""
    return {
        "input_tokens": answer.input_tokens - answer.text.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.text.cached_tokens,
        "output_tokens": answer.text.output_tokens,
    }

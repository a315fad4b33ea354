"""POST /v1/messages: from a body's bytes to JSON or events.

    events, as_stream = handle("POST", "/v1/messages", content, model, backend)   # or Refused, or UserError
    for event in events: send(encode_event(event))                                # if `as_stream`, otherwise:
    json.dumps(assemble_message(events))

An answer is a stream of events, or one message assembled from them:

    message_start          the message without content; its usage has the input tokens
    content_block_start    a text block, or a tool_use block
    content_block_delta    a piece of its text, or its input as JSON; repeated
    content_block_stop
    message_delta          stop_reason and the final usage
    message_stop

Used by the in-process transport (transport.py) and by step 5's engine server. It doesn't import the SDK, so
that an engine starts faster.

Source: https://docs.claude.com/en/api/errors, https://docs.claude.com/en/docs/build-with-claude/streaming
"""

import json
import logging
import secrets
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from shared.embedded.backend import Answer, Backend
from shared.embedded.guide import UnsupportedSchema
from shared.embedded.prompt import ToolCall
from shared.embedded.wire import Refused, validate_request

JSON = dict[str, Any]
Event = JSON
log = logging.getLogger(__name__)

MAX_BODY_BYTES = 32 * 1024 * 1024  # the API's own limit


def handle(
    method: str, path: str, content: bytes, model: str, backend: Backend
) -> tuple[Generator[Event], bool]:
    """Check a request and answer it with events, whose text is generated as they are read.

    Also returns whether the client wants the events, and not one message (`assemble_message`).

    Raises:
        Refused: the request is invalid, or asks for something that the model can't do.
        UserError: the model is not available.
    """
    if (method, path) != ("POST", "/v1/messages"):
        raise Refused(f"Not found: {method} {path}", 404, "not_found_error")
    request = validate_request(_parse(content))
    if request.model != model:
        raise Refused(f"model: {request.model} (here is {model})", 404, "not_found_error")
    return events(backend.answer(request), model), request.stream


def describe_error(error: Exception) -> tuple[int, JSON]:
    """HTTP status and body of an error. Bugs of ours are logged, and the client only gets status 500."""
    if isinstance(error, UnsupportedSchema):
        error = Refused(f"output_config.format.schema: {error}")
    if isinstance(error, RecursionError):
        error = Refused("The request is nested too deeply")
    if not isinstance(error, Refused):
        log.debug("the embedded backend failed", exc_info=error)
        error = Refused("Internal server error", 500, "api_error")
    return error.status, {"type": "error", "error": {"type": error.kind, "message": str(error)}}


def response_headers(status: int = 200) -> dict[str, str]:
    """The headers of a response with that status, without its content type."""
    headers = {"request-id": f"req_{secrets.token_hex(12)}"}
    if status == 500:
        headers["x-should-retry"] = "false"  # the same request would fail again
    return headers


def encode_event(event: Event) -> bytes:
    """The event as a server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _parse(content: bytes) -> Any:
    """The body's JSON.

    Raises:
        Refused: it is too long or not valid JSON.
    """
    if len(content) > MAX_BODY_BYTES:
        limit = f"{MAX_BODY_BYTES / 2**20:.0f} MB"
        raise Refused(f"Request exceeds the maximum size of {limit}", 413, "request_too_large")
    try:
        body = json.loads(content)
        json.dumps(body, ensure_ascii=False).encode()  # fails on half a surrogate pair, which JSON allows
    except ValueError as error:
        raise Refused(f"The request body is not valid JSON: {error}") from None
    return body


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
            yield from _call_events(i, call)
    finally:
        answer.text.close()
    stopped = {"stop_reason": answer.stop_reason, "stop_sequence": None}
    yield {"type": "message_delta", "delta": stopped, "usage": _usage(answer)}
    yield {"type": "message_stop"}


def _text_events(pieces: Iterable[str]) -> Iterator[Event]:
    """The events of one text block; none if there is no text."""
    started = False
    for piece in pieces:
        if piece and not started:
            yield _block_start(0, {"type": "text", "text": ""})
            started = True
        if piece:
            yield _block_delta(0, {"type": "text_delta", "text": piece})
    if started:
        yield _block_stop(0)


def _call_events(index: int, call: ToolCall) -> Iterator[Event]:
    """The events of one tool_use block."""
    call_id = f"toolu_{secrets.token_hex(12)}"  # unique even if it becomes part of another conversation
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    yield _block_start(index, {"type": "tool_use", "id": call_id, "name": call.name, "input": {}})
    yield _block_delta(index, {"type": "input_json_delta", "partial_json": arguments})
    yield _block_stop(index)


def _block_start(index: int, block: JSON) -> Event:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _block_delta(index: int, delta: JSON) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _block_stop(index: int) -> Event:
    return {"type": "content_block_stop", "index": index}


def assemble_message(events: Iterable[Event]) -> JSON:
    """The whole message, assembled from its events."""
    message: JSON = {}
    for event in events:
        match event:
            case {"type": "message_start", "message": started}:
                message = started
            case {"type": "content_block_start", "content_block": block}:
                message["content"].append(dict(block))
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}}:
                message["content"][event["index"]]["text"] += piece
            case {"type": "content_block_delta", "delta": {"partial_json": arguments}}:
                message["content"][event["index"]]["input"] = json.loads(arguments)
            case {"type": "message_delta", "delta": stopped, "usage": usage}:
                message |= stopped | {"usage": usage}
    return message


def _usage(answer: Answer) -> dict[str, int]:
    """The token counts so far. The number of cached tokens is known once generation has started."""
    return {
        "input_tokens": answer.input_tokens - answer.text.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.text.cached_tokens,
        "output_tokens": answer.text.output_tokens,
    }

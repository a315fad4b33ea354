"""POST /v1/messages and POST /v1/messages/count_tokens: from a body's bytes to JSON or events.

    reply = handle("POST", "/v1/messages", content, model, backend)       # may raise Refused or UserError
    json.dumps(reply)                                          # if it is a dict
    for event in reply.events: send(encode_event(event))       # if it is a Reply and `reply.as_stream`

Used by the in-process transport (transport.py) and by step 5's engine server. It doesn't import the SDK, so
that an engine starts faster.

Source: https://docs.claude.com/en/api/errors
"""

import json
import logging
import secrets
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from shared.embedded import stream, wire
from shared.embedded.backend import Backend
from shared.embedded.guide import UnsupportedSchema
from shared.embedded.wire import Refused

log = logging.getLogger(__name__)

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
MAX_BODY_BYTES = 32 * 1024 * 1024  # the API's own limit


@dataclass(frozen=True)
class Reply:
    """An answer as events, whose text is generated as they are read.

    The client wants the events (`as_stream`), or one message (`stream.assemble_message`).
    """

    events: Generator[stream.Event, None, None]
    as_stream: bool


def handle(method: str, path: str, content: bytes, model: str, backend: Backend) -> Reply | dict[str, Any]:
    """Check a request and answer it, up to the text: that is generated as the reply's events are read.

    Raises:
        Refused: the request is invalid, or asks for something that the model can't do.
        UserError: the model is not available.
    """
    if method != "POST" or path not in (MESSAGES, COUNT):
        raise Refused(f"Not found: {method} {path}", 404, "not_found_error")
    body = _parse(content)
    if problem := wire.validate_request(body, count_tokens=path == COUNT):
        raise Refused(problem)
    if body["model"] != model:
        raise Refused(f"model: {body['model']} (here is {model})", 404, "not_found_error")
    if path == COUNT:
        return {"input_tokens": backend.count(body)}
    return Reply(stream.events(backend.answer(body), model), as_stream=body.get("stream", False))


def describe_error(error: Exception) -> tuple[int, dict[str, Any]]:
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


def encode_event(event: stream.Event) -> bytes:
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

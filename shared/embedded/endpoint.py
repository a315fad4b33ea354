"""POST /v1/messages and POST /v1/messages/count_tokens, without a transport: from bytes to JSON or events.

    begun = begin("POST", "/v1/messages", content, model, backend)      # Refused, UserError
    json.dumps(begun)                                    # where it is a dict
    for event in begun.events: send(encode(event))       # where it is a Reply, and `begun.wanted` a stream

The transport in the process (transport.py) and step 5's engine server answer with it. It imports no SDK, so
that an engine starts sooner.

Source: https://docs.claude.com/en/api/errors
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from shared.embedded import stream, wire
from shared.embedded.backend import Backend
from shared.embedded.grammar import UnsupportedSchema
from shared.embedded.wire import Refused

log = logging.getLogger(__name__)

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
LONGEST_BODY = 32 * 1024 * 1024  # bytes, as at the API


@dataclass(frozen=True)
class Reply:
    """An answer that is still to be written; `wanted` as a stream, or else added up (`stream.whole`)."""

    events: Generator[stream.Event, None, None]
    wanted: bool


def begin(method: str, path: str, content: bytes, model: str, answering: Backend) -> Reply | dict[str, Any]:
    """Check a request and decide how to answer it; only the text is not written yet.

    Raises:
        Refused: the request is wrong, or asks for what the model can't do.
        UserError: the model can't be had.
    """
    if method != "POST" or path not in (MESSAGES, COUNT):
        raise Refused(f"Not found: {method} {path}", 404, "not_found_error")
    body = _decoded(content)
    if problem := wire.validate_request(body, count_tokens=path == COUNT):
        raise Refused(problem)
    if body["model"] != model:
        raise Refused(f"model: {body['model']} (here is {model})", 404, "not_found_error")
    if path == COUNT:
        return {"input_tokens": answering.count(body)}
    return Reply(stream.events(answering.answer(body), model), wanted=body.get("stream", False))


def describe(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body of an error; one that is a bug of ours is for the log, not for the client."""
    if isinstance(error, UnsupportedSchema):
        error = Refused(f"output_config.format.schema: {error}")
    if isinstance(error, RecursionError):
        error = Refused("The request is nested too deeply")
    if not isinstance(error, Refused):
        log.debug("the embedded backend failed", exc_info=error)
        error = Refused("Internal server error", 500, "api_error")
    return error.status, {"type": "error", "error": {"type": error.kind, "message": str(error)}}


def headers_of(status: int = 200) -> dict[str, str]:
    """What a reply with that status has as headers, beside its content type."""
    headers = {"request-id": f"req_{secrets.token_hex(12)}"}
    if status == 500:
        headers["x-should-retry"] = "false"  # the same request would fail again
    return headers


def encode(event: stream.Event) -> bytes:
    """A server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def too_long() -> Refused:
    """The refusal of a body over LONGEST_BODY."""
    limit = f"{LONGEST_BODY / 2**20:.0f} MB"
    return Refused(f"Request exceeds the maximum size of {limit}", 413, "request_too_large")


def _decoded(content: bytes) -> Any:
    """The body's JSON.

    Raises:
        Refused: it is too long, or is not JSON, or holds what is not a text.
    """
    if len(content) > LONGEST_BODY:
        raise too_long()
    try:
        body = json.loads(content)
        json.dumps(body, ensure_ascii=False).encode()  # half of a surrogate pair is JSON, but no text
    except ValueError as error:
        raise Refused(f"The request body is not valid JSON: {error}") from None
    return body

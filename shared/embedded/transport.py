"""The embedded model where the SDK expects a server: a transport that answers in the process.

    client = anthropic.Anthropic(
        api_key="none",
        base_url="http://embedded.invalid",
        http_client=httpx2.Client(transport=EmbeddedTransport(load_settings())),
    )

It answers POST /v1/messages (as JSON, or as server-sent events) and POST /v1/messages/count_tokens, with the
statuses, headers and errors of the API. Nothing is sent anywhere. Time-outs are not kept: they are for
networks. Ctrl-C stops the model, and so does closing a stream, or cancelling an async request: at the next
token, or after the piece of work that can't be cut (reading the prompt, writing tool calls).

Source: https://docs.claude.com/en/api/errors
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, suppress
from typing import Any, Protocol

import anthropic
import anyio.to_thread
import httpx2

from shared.config import Settings
from shared.embedded import backend, stream, wire
from shared.embedded.grammar import UnsupportedSchema
from shared.embedded.refuse import Refused
from shared.errors import UserError

log = logging.getLogger(__name__)

MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
LONGEST_BODY = 32 * 1024 * 1024  # bytes, as at the API


class Answers(Protocol):
    """What answers: a `Backend`, here or elsewhere."""

    def answer(self, body: dict[str, Any]) -> backend.Answer:
        """See `Backend.answer`."""
        ...

    def count(self, body: dict[str, Any]) -> int:
        """See `Backend.count`."""
        ...


class Unavailable(UserError, anthropic.AnthropicError):
    """The model can't be had. Being of the SDK's own kind, it passes through the SDK as it is, at once."""


class EmbeddedTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers what the SDK sends with the settings' model; fit for the sync client and the async one.

    Raises:
        UserError: there is no such model, or it can't chat.
    """

    def __init__(self, settings: Settings, answering: Answers | None = None) -> None:
        self.model = settings.model
        self._backend: Answers = answering or backend.backend(settings)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer in the thread of the caller.

        Raises:
            Unavailable: the model can't be had.
        """
        request.read()
        try:
            begun = self._begin(request)
            if isinstance(begun, Events) and not begun.wanted:
                begun = stream.whole(begun.events)
            return _response(begun)
        except Exception as error:
            return _failure(error)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer from worker threads, one event after the other.

        Raises:
            Unavailable: the model can't be had.
        """
        await request.aread()
        try:
            begun = await anyio.to_thread.run_sync(self._begin, request)
            if isinstance(begun, Events) and not begun.wanted:
                async with aclosing(_in_threads(begun.events)) as events:
                    begun = stream.whole([event async for event in events])
            return _response(begun)
        except Exception as error:
            return _failure(error)

    def _begin(self, request: httpx2.Request) -> Events | dict[str, Any]:
        """Check the request and decide how to answer it; only the text is not written yet."""
        path = request.url.path
        if path not in (MESSAGES, COUNT):
            raise Refused(f"Not found: {path}", 404, "not_found_error")
        if request.method != "POST":
            raise Refused(f"Method not allowed: {request.method} {path}", 405)
        body = _decoded(request.content)
        if problem := wire.validate_request(body, count_tokens=path == COUNT):
            raise Refused(problem)
        if body["model"] != self.model:
            raise Refused(f"model: {body['model']} (here is {self.model})", 404, "not_found_error")
        if path == COUNT:
            return {"input_tokens": self._backend.count(body)}
        answer = self._backend.answer(body)
        return Events(stream.events(answer, self.model), wanted=body.get("stream", False))


class Events(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The events of an answer, each sent as soon as it is there; `wanted` so, or else to be added up."""

    def __init__(self, events: Generator[stream.Event, None, None], *, wanted: bool) -> None:
        self.events, self.wanted = events, wanted
        self._closed = False

    def __iter__(self) -> Generator[bytes, None, None]:
        try:
            for event in self.events:
                if self._closed:  # by another thread
                    break
                yield _sent(event)
        except UserError as error:
            raise Unavailable(str(error)) from None
        except Exception as error:  # 200 has been said already
            yield _sent(_described(error)[1])
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(_in_threads(self.__iter__())) as pieces:
            async for piece in pieces:
                yield piece

    def close(self) -> None:
        """Stop the model."""
        self._closed = True
        with suppress(ValueError):  # it is at work in another thread, which will look at _closed
            self.events.close()

    async def aclose(self) -> None:
        """Stop the model."""
        self.close()


async def _in_threads(items: Generator[Any, None, None]) -> AsyncGenerator[Any, None]:
    """The items of a generator that takes its time; closing this closes it."""
    nothing = object()
    try:
        while (item := await anyio.to_thread.run_sync(next, items, nothing)) is not nothing:
            yield item
    finally:
        items.close()


def _decoded(content: bytes) -> Any:
    """The body's JSON.

    Raises:
        Refused: it is too long, or is no JSON, or holds what is no text.
    """
    if len(content) > LONGEST_BODY:
        limit = f"{LONGEST_BODY / 2**20:.0f} MB"
        raise Refused(f"Request exceeds the maximum size of {limit}", 413, "request_too_large")
    try:
        body = json.loads(content, parse_constant=_no_number)
        json.dumps(body, ensure_ascii=False).encode()  # half of a surrogate pair is JSON, but no text
    except RecursionError:
        raise Refused("The request body is nested too deeply") from None
    except ValueError as error:
        raise Refused(f"The request body is not valid JSON: {error}") from None
    return body


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _response(body: Events | dict[str, Any]) -> httpx2.Response:
    headers = {"request-id": _request_id()}
    if isinstance(body, Events):
        headers |= {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        return httpx2.Response(200, headers=headers, stream=body)
    return httpx2.Response(200, headers=headers, json=body)


def _failure(error: Exception) -> httpx2.Response:
    """The reply to a request that failed.

    Raises:
        Unavailable: in place of a UserError, which is for people and no reply of an API.
    """
    if isinstance(error, UserError):
        raise Unavailable(str(error)) from None
    status, body = _described(error)
    headers = {"request-id": _request_id()}
    if status >= 500:
        headers["x-should-retry"] = "false"  # the same request would fail again
    if status == 405:
        headers["allow"] = "POST"
    return httpx2.Response(status, headers=headers, json={**body, "request_id": headers["request-id"]})


def _described(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body of an error; one that is a bug of ours is for the log, not for the client."""
    if isinstance(error, UnsupportedSchema):
        error = Refused(f"output_config.format.schema: {error}")
    if isinstance(error, RecursionError):
        error = Refused("The request is nested too deeply")
    if not isinstance(error, Refused):
        log.debug("the embedded backend failed", exc_info=error)
        error = Refused("Internal server error", 500, "api_error")
    return error.status, {"type": "error", "error": {"type": error.kind, "message": str(error)}}


def _request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


def _sent(event: stream.Event) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()

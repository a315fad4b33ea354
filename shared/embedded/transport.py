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

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, suppress
from typing import Any

import anthropic
import anyio.to_thread
import httpx2

from shared.config import Settings
from shared.embedded import backend, endpoint, stream
from shared.errors import UserError


class Unavailable(UserError, anthropic.AnthropicError):
    """The model can't be had. Being of the SDK's own kind, it passes through the SDK as it is, at once."""


class EmbeddedTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers what the SDK sends with the settings' model; fit for the sync client and the async one.

    Raises:
        UserError: there is no such model, or it can't chat.
    """

    def __init__(self, settings: Settings, answering: backend.Backend | None = None) -> None:
        self.model = settings.model
        self._backend = answering or backend.backend(settings)

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
        found = endpoint.begin(request.method, request.url.path, request.content, self.model, self._backend)
        return found if isinstance(found, dict) else Events(found.events, wanted=found.wanted)


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
                yield endpoint.encode(event)
        except UserError as error:
            raise Unavailable(str(error)) from None
        except Exception as error:  # 200 has been said already
            yield endpoint.encode(endpoint.describe(error)[1])
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


def _response(body: Events | dict[str, Any]) -> httpx2.Response:
    headers = endpoint.headers_of()
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
    status, body = endpoint.describe(error)
    headers = endpoint.headers_of(status)
    return httpx2.Response(status, headers=headers, json={**body, "request_id": headers["request-id"]})

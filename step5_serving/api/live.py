"""Replies that are written while the work goes on, which stops when nobody reads them any more.

    event: delta
    data: {"text": "It renews"}

A server that goes on writing for a client who has left wastes the one thing that is scarce: when the
connection closes, the work is cancelled, and the cancellation stops the model at its next token.

Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from step5_serving.errors import ApiError

PING_EVERY = 15.0  # seconds; proxies close what is silent for longer


def event(name: str, data: Any) -> bytes:
    """One server-sent event.

    >>> event("delta", {"text": "It"})
    b'event: delta\\ndata: {"text":"It"}\\n\\n'
    """
    return format_sse_event(event=name, data_str=to_json(data).decode())


class EventStream(EventSourceResponse):
    """A reply that a task writes; it is cancelled when the client goes away."""

    def __init__(self, task: asyncio.Task[Any], events: AsyncIterator[bytes]) -> None:
        super().__init__(events, headers={"x-accel-buffering": "no"})  # nginx would keep events back
        self._task = task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await _stop(self._task)


async def stream(work: Callable[[Callable[[bytes], None]], Coroutine[Any, Any, bytes]]) -> EventStream:
    """Begin the work, and reply with the events that it puts out.

    Args:
        work: gets a function that takes an event, to be called in the event loop's thread; returns the last.

    Raises:
        ApiError: the work ended so before its first event. Later, it is the stream's last event.
    """
    ready = asyncio.Queue[bytes | None]()
    task = asyncio.ensure_future(work(ready.put_nowait))
    task.add_done_callback(lambda _task: ready.put_nowait(None))

    try:
        first = await ready.get()
        if first is None:
            await task  # raises what it was refused with
    except BaseException:
        await _stop(task)
        raise

    async def events() -> AsyncIterator[bytes]:
        piece: bytes | None = first
        while piece is not None:
            yield piece
            try:
                async with asyncio.timeout(PING_EVERY):
                    piece = await ready.get()
            except TimeoutError:
                piece = KEEPALIVE_COMMENT
        try:
            yield await task
        except ApiError as error:
            yield event("error", error.body()["error"])

    return EventStream(task, events())


async def _stop(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])

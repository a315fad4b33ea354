"""Server-sent events that are written by a task, which is cancelled when the client goes away.

    event: delta
    data: {"text": "It renews"}

Writing on for a client that has left wastes the model's time: the cancellation stops it at its next token.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from step5_serving.connections import stop
from step5_serving.errors import ApiError

PING_EVERY = 15.0  # seconds; proxies close connections that are silent for longer


def event(name: str, data: Any) -> bytes:
    """One server-sent event."""
    return format_sse_event(event=name, data_str=to_json(data).decode())


class EventStream(EventSourceResponse):
    """A response whose events come from a task; the task ends with the response."""

    def __init__(self, task: asyncio.Task[Any], events: AsyncIterator[bytes]) -> None:
        super().__init__(events, headers={"x-accel-buffering": "no"})  # nginx would hold events back
        self._task = task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await stop(self._task)


async def stream(work: Callable[[Callable[[bytes], None]], Coroutine[Any, Any, bytes]]) -> EventStream:
    """Start the work, and respond with its events once there is a first one.

    Args:
        work: takes a function that sends an event (in the event loop's thread); returns the last event.

    Raises:
        ApiError: the work raised it before its first event. Later, it becomes the last event.
    """
    queue = asyncio.Queue[bytes | None]()
    task = asyncio.ensure_future(work(queue.put_nowait))
    task.add_done_callback(lambda _task: queue.put_nowait(None))

    try:
        first = await queue.get()
        if first is None:
            await task  # raises the error
    except BaseException:
        await stop(task)
        raise

    async def events() -> AsyncIterator[bytes]:
        piece: bytes | None = first
        while piece is not None:
            yield piece
            try:
                async with asyncio.timeout(PING_EVERY):
                    piece = await queue.get()
            except TimeoutError:
                piece = KEEPALIVE_COMMENT
        try:
            yield await task
        except ApiError as error:
            yield event("error", error.body()["error"])

    return EventStream(task, events())

"""Stops work whose client has closed the connection."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.requests import Request

T = TypeVar("T")
POLL_S = 0.2  # between two looks at the connection


class ClientGone(Exception):
    """The client has closed the connection, so there is nobody to reply to."""


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of the work, which is cancelled if the client goes away. Read the body before.

    Raises:
        ClientGone: the client went away.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait([task], timeout=POLL_S))[0]:
            if await request.is_disconnected():
                raise ClientGone
        return task.result()
    finally:
        await stop(task)


async def stop(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait for its end, whatever that is."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

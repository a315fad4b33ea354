"""Stops work whose client has closed the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

T = TypeVar("T")
WATCH_AFTER = 0.02  # seconds; faster work is not watched


class ClientGone(Exception):
    """The client has closed the connection, so there is nobody to reply to."""


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """The result of the work, which is cancelled if the client goes away. Read the body before.

    Raises:
        ClientGone: the client went away.
    """
    task, gone = asyncio.current_task(), False
    assert task is not None

    async def watch() -> None:
        nonlocal gone
        await asyncio.sleep(WATCH_AFTER)
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watcher = asyncio.ensure_future(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if gone and task.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        watcher.cancel()

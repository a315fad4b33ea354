"""Work for one who asked: it stops when his connection closes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

T = TypeVar("T")
WATCH_AFTER = 0.02  # seconds


class ClientGone(Exception):
    """Whoever asked has left; there is nobody to reply to."""


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """The outcome of the work, which is cancelled when the client goes away. The body has to be read already.

    Raises:
        ClientGone: he did.
    """
    task, gone = asyncio.current_task(), False
    assert task is not None

    async def watch() -> None:
        nonlocal gone
        # What is done sooner needs nobody to watch.
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

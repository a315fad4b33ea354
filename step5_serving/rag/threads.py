"""A thread that ends with its work.

    opened = await in_passing(load)

What torch spreads over several cores belongs into such a thread. OpenMP keeps a team of helpers for each
thread that ever did so, and once there are more of them in the process than cores, none waits for the others
awake any more: it sleeps, and has to be woken for each of the hundreds of products of a token. On two cores,
one team that only stood by made the model write 21 tokens/s in place of 40.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


async def in_passing(work: Callable[..., T], *args: Any) -> T:
    """The outcome of `work(*args)`, in a thread of its own. Cancelling the wait doesn't stop the work."""
    pool = ThreadPoolExecutor(1)
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *args)
    finally:
        pool.shutdown(wait=False)

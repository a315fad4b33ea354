"""Objects that stay where they were made: a way to their parts, and a coroutine without an event loop."""

from __future__ import annotations

from functools import cache
from typing import Any


def reach(value: Any, path: str) -> Any:
    """What stands at a path of attributes: `c.ms`."""
    for name in path.split("."):
        value = getattr(value, name)
    return value


def step(coroutine: Any, cancel: bool = False) -> tuple[str, Any]:
    """One step of a coroutine: ("waits", the future that it waits for), or ("done", what it returned).

    Whoever calls this is the event loop: nothing goes on between two steps. With `cancel`, the coroutine is
    told that its task was cancelled.
    """
    import asyncio

    asyncio._set_running_loop(_loop())
    try:
        waits = coroutine.throw(asyncio.CancelledError()) if cancel else coroutine.send(None)
    except StopIteration as end:
        return "done", end.value
    finally:
        asyncio._set_running_loop(None)
    return "waits", waits


@cache
def _loop() -> Any:
    """One that never runs: futures want to belong to a loop."""
    import asyncio

    return asyncio.new_event_loop()

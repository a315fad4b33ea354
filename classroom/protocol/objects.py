"""What both sides do with a name, with the attributes of an object, and with a coroutine."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


def find(target: str) -> Any:
    """The object that `module:name.name` names. Never call it with a name that a submission gave."""
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def reach(value: Any, path: str) -> Any:
    """The value at a path of attributes, such as `c.ms`."""
    for name in path.split("."):
        value = getattr(value, name)
    return value


def step(coroutine: Any, cancel: bool = False) -> tuple[str, Any]:
    """One step of a coroutine: ("waits", the future that it waits for), or ("done", what it returned).

    The caller is the event loop: nothing happens between two steps. With `cancel`, the coroutine is told that
    its task was cancelled.
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
    """An event loop that never runs: futures must belong to one."""
    import asyncio

    return asyncio.new_event_loop()

"""A thread that works for somebody learns that nobody waits any more: its next piece of text raises.

stopping = Stopping()
event = threading.Event()
await threads.run(stopping.watched(event, work))    # `event.set()` ends the work at its next byte
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2


class Stopped(Exception):
    """Nobody waits for this answer any more."""


class Watched(httpx2.SyncByteStream):
    """A reply's bytes, until nobody waits for them."""

    def __init__(self, inner: Any, stopped: threading.Event) -> None:
        self._inner, self._stopped = inner, stopped

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            if self._stopped.is_set():
                raise Stopped
            yield chunk

    def close(self) -> None:
        self._inner.close()


class Stopping:
    """Knows, in each thread, whether anybody waits for what it does."""

    def __init__(self) -> None:
        self._own = threading.local()

    def watched(self, stopped: threading.Event, work: Callable[[], Any]) -> Callable[[], Any]:
        """The work, in whose thread `stopped` counts."""

        def run() -> Any:
            self._own.stopped = stopped
            return work()

        return run

    def middleware(self, request: Any, call_next: Any) -> Any:
        """What the model sends ends when nobody waits any more: also where it sends no text, but pings."""
        response = call_next(request)
        stopped = getattr(self._own, "stopped", None)
        if request.stream and stopped is not None:
            response.http_response.stream = Watched(response.http_response.stream, stopped)
        return response

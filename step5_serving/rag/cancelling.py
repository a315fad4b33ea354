"""Calls of the model: they stop when nobody waits for them any more, and it shows when none makes progress.

calls = ModelCalls()
client = anthropic.Anthropic(...).with_middleware(calls.middleware)
event = threading.Event()
await threads.run(calls.watched(event, work))    # `event.set()` ends the work at its next byte
calls.silence()                                  # seconds since the model sent anything, while it should
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2


class Stopped(Exception):
    """Nobody waits for this answer any more."""


class Watched(httpx2.SyncByteStream):
    """A reply's bytes, until nobody waits for them."""

    def __init__(self, inner: Any, stopped: threading.Event | None, calls: ModelCalls) -> None:
        self._inner, self._stopped, self._calls = inner, stopped, calls
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._calls.moved()
            if self._stopped is not None and self._stopped.is_set():
                raise Stopped
            yield chunk

    def close(self) -> None:
        if self._open:
            self._open = False
            self._calls.ended()
        self._inner.close()


class ModelCalls:
    """Knows, in each thread, whether anybody waits for what it does; and, of all, when a byte came last."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._lock, self._open, self._last = threading.Lock(), 0, 0.0

    def watched(self, stopped: threading.Event, work: Callable[[], Any]) -> Callable[[], Any]:
        """The work, in whose thread `stopped` counts."""

        def run() -> Any:
            self._own.stopped = stopped
            return work()

        return run

    def middleware(self, request: Any, call_next: Any) -> Any:
        """What the model sends ends when nobody waits any more: also where it sends no text, but pings."""
        with self._lock:
            self._last = self._last if self._open else time.monotonic()
            self._open += 1
        try:
            response = call_next(request)
        except BaseException:
            self.ended()
            raise
        self.moved()
        if not request.stream or response.http_response.is_closed:
            self.ended()
            return response
        stopped = getattr(self._own, "stopped", None)
        response.http_response.stream = Watched(response.http_response.stream, stopped, self)
        return response

    def moved(self) -> None:
        """A byte has come."""
        self._last = time.monotonic()

    def ended(self) -> None:
        """A call is over."""
        with self._lock:
            self._open -= 1

    def silence(self) -> float:
        """Seconds since the model sent anything to anyone; 0 where nobody waits for it."""
        with self._lock:
            return time.monotonic() - self._last if self._open else 0.0

"""Calls of the model: they stop when nobody waits for them any more, and their silence is measured.

calls, stopped = ModelCalls(), threading.Event()
client = calls.watch(anthropic.Anthropic(...), stopped)
client.messages.create(...)      # in a thread; `stopped.set()` ends it at the next byte
calls.silence()                  # seconds since the model sent anything, while a call waits for it
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    import anthropic


class Stopped(Exception):
    """Nobody waits for this answer any more."""


class WatchedStream(httpx2.SyncByteStream):
    """The bytes of a reply (text or pings), until nobody waits for them."""

    def __init__(self, inner: Any, stopped: threading.Event, calls: ModelCalls) -> None:
        self._inner, self._stopped, self._calls = inner, stopped, calls
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._calls.last = time.monotonic()
            if self._stopped.is_set():
                raise Stopped
            yield chunk

    def close(self) -> None:
        if self._open:
            self._open = False
            self._calls.count(-1)
        self._inner.close()


class ModelCalls:
    """Counts the open calls, and remembers when one of them last received a byte."""

    def __init__(self) -> None:
        self._lock, self._open, self.last = threading.Lock(), 0, 0.0

    def watch(self, client: anthropic.Anthropic, stopped: threading.Event) -> anthropic.Anthropic:
        """The client, with calls that end once `stopped` is set."""

        def call(request: Any, call_next: Any) -> Any:
            self.count(1)
            try:
                response = call_next(request)
            except BaseException:
                self.count(-1)
                raise
            self.last = time.monotonic()
            if not request.stream or response.http_response.is_closed:
                self.count(-1)
            else:
                response.http_response.stream = WatchedStream(response.http_response.stream, stopped, self)
            return response

        return client.with_middleware(call)

    def count(self, change: int) -> None:
        """A call starts (1) or ends (-1)."""
        with self._lock:
            self.last = self.last if self._open else time.monotonic()
            self._open += change

    def silence(self) -> float:
        """Seconds since the model sent anything to anyone; 0 if no call is open."""
        with self._lock:
            return time.monotonic() - self.last if self._open else 0.0

"""Threads for work that blocks, of which the event loop only wants the outcome.

    threads = Threads(8, "answering")
    answered = await threads.run(work, "an argument")
    opened = await in_passing(load)                      # in a thread that ends with it

asyncio's own pool joins its threads when the process ends, so that one engine that hangs would keep a stopped
server alive; these are daemons. And anyio's come and go, while these stay, and what a thread has opened (a
connection to SQLite) with them. Cancelling the wait doesn't stop the work: who runs it has to look.

What torch spreads over several cores belongs into a thread that ends. OpenMP keeps a team of helpers for each
thread that ever did so, and once there are more of them in the process than cores, none waits for the others
awake any more: it sleeps, and has to be woken for each of the hundreds of products of a token. On two cores,
one team that only stood by made the model write 21 tokens/s in place of 40.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


async def in_passing(work: Callable[..., T], *args: Any) -> T:
    """The outcome of `work(*args)`, in a thread of its own."""
    threads = Threads(1, "in passing")
    try:
        return await threads.run(work, *args)
    finally:
        threads.close()


class Threads:
    """At most `most` of them, begun when they are needed."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0  # threads that have nothing to do, less the work that waits for one

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """The outcome of `work(*args)`. Not begun at all when it is cancelled before a thread is free."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def tell(outcome: Callable[[], None]) -> None:
            self._idle += 1
            if not future.done():
                outcome()

        def job() -> None:
            if future.cancelled():
                outcome: Callable[[], None] = lambda: None  # noqa: E731
            else:
                try:
                    found = work(*args)
                    outcome = lambda: future.set_result(found)  # noqa: E731
                except BaseException as error:
                    problem = error
                    outcome = lambda: future.set_exception(problem)  # noqa: E731
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(tell, outcome)

        self._idle -= 1
        if self._idle < 0 and len(self._threads) < self._most:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._threads.append(thread)
            self._idle += 1
            thread.start()
        self._queue.put(job)
        return await future

    def close(self) -> None:
        """Let the threads end when they have done what they do."""
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            job()

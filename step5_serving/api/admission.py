"""Admission control: at most N calls run, at most M wait for their turn, the rest is told when to try again.

    async with admission.turn() as queued_s:
        ...

An unbounded queue looks friendlier, but under too much load it grows until every caller waits longer than
they are willing to, and the machine works for people who have left. A short queue smooths bursts, and a 503
that comes at once can be tried elsewhere. First come, first served.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator

from step5_serving.errors import overloaded

LONGEST_WAIT = 60  # seconds, of a Retry-After
FORGET = 0.1  # weight of the newest call in the moving average of running times


class Admission:
    """Counts running and waiting calls; used in one event loop only."""

    def __init__(self, running: int, waiting: int) -> None:
        self.most_running, self.most_waiting = running, waiting
        self.running = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._mean = 1.0  # moving average of the seconds that a call runs
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """A place among the running calls for the length of a `with`; gives the seconds waited for it.

        Raises:
            ApiError: the queue is full.
        """
        arrived = time.perf_counter()
        await self._enter()
        began = time.perf_counter()
        try:
            yield began - arrived
        finally:
            self._leave(time.perf_counter() - began)

    def check(self) -> None:
        """Raise the ApiError that `turn` would raise now."""
        if self.running >= self.most_running and len(self._queue) >= self.most_waiting:
            raise overloaded(
                f"there is no room for more calls (running: {self.running}, waiting: {len(self._queue)}): "
                "try again later",
                self.retry_after(),
            )

    def retry_after(self) -> int:
        """Estimated seconds until the calls that wait now have started."""
        rounds = (len(self._queue) + 1) / self.most_running
        return max(1, min(LONGEST_WAIT, math.ceil(rounds * self._mean)))

    async def drained(self) -> None:
        """Wait until no call runs or waits."""
        await self._empty.wait()

    async def _enter(self) -> None:
        """Start at once or wait in the queue; returns when this call counts as running.

        First, `check` may refuse the call. If fewer than `most_running` run, it starts at once (`_begin`).
        Otherwise it appends a future to `_queue` and waits for it; `_leave` counts the call as running before
        it sets the future. A call that is cancelled while it waits is removed from the queue. If it is
        cancelled after its future was set, but before it could start, its place goes to the next one:
        `_leave(None)`. In both cases the CancelledError is raised again.
        """
        ### BEGIN SOLUTION 5.6: The doors
        self.check()
        if self.running < self.most_running:  # then no call is waiting
            self._begin()
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn  # whoever leaves counts us in
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # our turn came in the same moment: pass it on
                self._leave(None)
            else:
                with contextlib.suppress(ValueError):  # `_leave` skipped it already
                    self._queue.remove(turn)
            raise
        ### END SOLUTION

    def _begin(self) -> None:
        self.running += 1
        self._empty.clear()

    def _leave(self, seconds: float | None) -> None:
        """A running call has ended after `seconds`; None: it never started, so `_mean` stays as it is.

        `_mean` moves towards the seconds by the fraction FORGET. While there is room, the first of the queue
        starts: it is counted here (`_begin`), so that no newcomer can overtake it, and then its future is
        set. If its future is done already, it has given up and is skipped. If no call runs any more, `_empty`
        is set.
        """
        ### BEGIN SOLUTION 5.6: The doors
        if seconds is not None:
            self._mean += FORGET * (seconds - self._mean)
        self.running -= 1
        while self._queue and self.running < self.most_running:
            turn = self._queue.popleft()
            if not turn.done():
                self._begin()
                turn.set_result(None)
        if not self.running:
            self._empty.set()
        ### END SOLUTION

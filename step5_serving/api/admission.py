"""Who gets in: at most N calls run, at most M wait for their turn, and the rest is told when to come again.

    async with admission.turn() as queued_s:
        ...

A queue without a bound looks friendlier and is not: under a load that is too high it grows until every call
in it takes longer than its caller waits, and the machine works for people who have left. A short queue
evens out bursts, and a 503 that comes at once can be tried elsewhere. First come, first served.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator

from step5_serving.errors import overloaded

LONGEST_WAIT = 60  # seconds that a Retry-After says at most
FORGET = 0.1  # the weight of the newest call in the mean of how long calls run


class Admission:
    """The doors. Used in one event loop only."""

    def __init__(self, running: int, waiting: int) -> None:
        self.most_running, self.most_waiting = running, waiting
        self.running = 0
        self.closed: str | None = None  # why nobody gets in any more
        self._queue: deque[asyncio.Future[None]] = deque()
        self._mean = 1.0  # seconds that a call runs
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """A place among the running, for the length of a `with`; gives the seconds spent waiting for it.

        Raises:
            ApiError: the queue is full, or the doors are closed.
        """
        came = time.perf_counter()
        await self._enter()
        began = time.perf_counter()
        try:
            yield began - came
        finally:
            self._leave(time.perf_counter() - began)

    def check(self) -> None:
        """Refuse at once whom `turn` would refuse.

        Raises:
            ApiError: as there.
        """
        if self.closed:
            raise overloaded(self.closed, 1)
        if self.running >= self.most_running and len(self._queue) >= self.most_waiting:
            raise overloaded(
                f"{self.running} calls are running and {len(self._queue)} are waiting, which is all there "
                "is room for: try again later",
                self.retry_after(),
            )

    def retry_after(self) -> int:
        """Seconds until the queue of now has had its turn, by how long calls ran lately."""
        rounds = (len(self._queue) + 1) / self.most_running
        return max(1, min(LONGEST_WAIT, math.ceil(rounds * self._mean)))

    def close(self, why: str) -> None:
        """Let nobody in any more. Those who run or wait may finish."""
        self.closed = why

    async def drained(self) -> None:
        """Wait until nobody runs or waits."""
        await self._empty.wait()

    async def _enter(self) -> None:
        """Come in, or wait for one's turn; returns when this call is counted among the running.

        Who is refused by `check` is refused here. While fewer than `most_running` run, a call begins at once
        (`_begin`). Else it stands at the end of `_queue`, as a future that whoever leaves sets (`_leave`)
        when it has counted the call in. A call that is cancelled while it waits is out of the queue. If it
        is cancelled when its turn has come, but before it could begin, its place goes to the next:
        `_leave(None)`. In both cases the cancellation goes on to the caller.
        """
        ### BEGIN SOLUTION 5.6: The doors
        self.check()
        if self.running < self.most_running:  # then nobody is waiting either
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
                with contextlib.suppress(ValueError):  # passed over already by whoever left
                    self._queue.remove(turn)
            raise
        ### END SOLUTION

    def _begin(self) -> None:
        self.running += 1
        self._empty.clear()

    def _leave(self, seconds: float | None) -> None:
        """A running call is done, after so many seconds; None: it never began, and tells nothing of how long.

        `_mean` goes towards the seconds by FORGET of the way. While there is room, the first of the queue
        comes in: counted here (`_begin`), so that nobody slips in before him, then told by his future. Whose
        future is done already has given up: he is passed over. Where nobody runs any more, `_empty` is set.
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

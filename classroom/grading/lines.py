"""Messages to a worker and back, each by its deadline: the one place where the pipes of a sandbox are read.

A worker may be slow, silent, gone, or talk for ever. Each of these is a `WorkerFailure` with the cause, and
none holds the grader longer than the deadline.
"""

import os
import select
import time
from typing import Any

from classroom.grading.callbacks import WorkerFailure
from classroom.isolation.box import Box
from classroom.protocol import wire

MAX_SENT = 32 * wire.MAX_LINE  # bytes in one test: endless callbacks must not fill the grader's memory
TICK = 0.2  # seconds between two looks at the limits


class Lines:
    """Both pipes of a worker. `sent` counts the bytes it has sent, `last` those of its last message."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._rest = b""
        self.sent = self.last = 0

    def is_spoilt(self) -> bool:
        """Whether the worker is gone, at a limit, or has sent something that nobody asked for."""
        spoke, _, _ = select.select([self._box.stdout], [], [], 0)
        return bool(spoke or self._rest or self._box.broken())

    def comes_within(self, seconds: float, deadline: float) -> bool:
        """Whether something can be received within this time.

        Raises:
            WorkerFailure: the deadline is over.
        """
        if not _left(deadline):
            raise WorkerFailure("it took too long", timed_out=True)
        if self._rest or self._box.broken():
            return True
        return bool(select.select([self._box.stdout], [], [], seconds)[0])

    def send(self, message: dict[str, Any], deadline: float) -> None:
        """Send a message.

        Raises:
            WorkerFailure: the worker doesn't take it in time.
        """
        data = memoryview(wire.to_line(message))
        while data:
            _, ready, _ = select.select([], [self._box.stdin], [], _left(deadline))
            if not ready:
                raise WorkerFailure("it took too long", timed_out=True)
            try:
                data = data[os.write(self._box.stdin, data) :]
            except BlockingIOError:
                continue
            except OSError:
                raise WorkerFailure(self._box.why_ended()) from None

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next message.

        Raises:
            WorkerFailure: none comes in time, or it is invalid.
        """
        while b"\n" not in self._rest:
            if len(self._rest) > wire.MAX_LINE:
                raise WorkerFailure("its reply was too long")
            if self.sent > MAX_SENT:
                raise WorkerFailure("it said too much")
            ready, _, _ = select.select([self._box.stdout], [], [], min(_left(deadline), TICK))
            if broken := self._box.broken():
                raise WorkerFailure(broken)
            if ready:
                self._rest += self._read()
            elif not _left(deadline):
                break
        if not _left(deadline):  # a worker that calls back for ever is late, too
            raise WorkerFailure("it took too long", timed_out=True)
        line, _, self._rest = self._rest.partition(b"\n")
        self.last = len(line)
        try:
            return wire.from_line(line)
        except ValueError:
            raise WorkerFailure("it sent an invalid reply") from None

    def _read(self) -> bytes:
        try:
            more = os.read(self._box.stdout, 1 << 16)
        except OSError:
            more = b""
        if not more:
            raise WorkerFailure(self._box.why_ended())
        self.sent += len(more)
        return more


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())

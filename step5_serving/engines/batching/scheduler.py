"""The loop that owns the model: each turn some of a newcomer's prompt is read, then every row gets a token.

    waiting   a queue, bounded: [g h]
    seats     0: a decodes   1: b decodes   2: c reads its prompt   3: empty
    a turn    1. rows that were cancelled leave; the first of the queue take empty seats
              2. c reads at most `chunk` tokens, so that a and b don't starve while a long prompt is read
              3. one forward for all seats: a and b get a token each; c is there as soon as all but the last
                 token of its prompt are read: its first forward is then the same as everybody's

A request is never moved to the end of the queue, and none overtakes another: the first one waits until there
is room for it. An error in one forward ends the requests that were in it, not the loop.

The loop's thread ends with its work, and with it the helpers that torch keeps for it. Those that only stand
by make the helpers of every other thread half as fast: threads.py.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.embedded.on_transformers import common
from shared.embedded.refuse import Refused
from step5_serving.engines.batching.choose import Chooser, draw
from step5_serving.engines.batching.request import End, Request
from step5_serving.engines.batching.seats import FIRST, Seats

CHUNK = 256  # prompt tokens between two steps of the others
LEAST = 16  # tokens in common from which copying them pays


@dataclass(frozen=True)
class Limits:
    """How much at once: rows, places of the cache over all seats, tokens of a prompt a turn, queue."""

    rows: int
    places: int
    chunk: int = CHUNK
    waiting: int = 256


class Scheduler:
    """Takes requests from any thread. Its own is there while there are some."""

    def __init__(self, seats: Seats, chooser: Chooser, limits: Limits) -> None:
        self._seats, self._chooser, self._limits = seats, chooser, limits
        self._rows: list[Request | None] = [None] * seats.seats
        self._held: list[list[int]] = [[] for _ in self._rows]  # ids in the cache of a seat that is empty
        self._waiting: deque[Request] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed, self._submitted = False, 0
        self._threads = torch.get_num_threads()
        self.decoded = 0  # tokens written since the start

    # --- from any thread ---

    def submit(self, request: Request) -> None:
        """Queue a request.

        Raises:
            Refused: too many wait already, or the engine was closed (529, as the API says it).
        """
        with self._lock:
            if self._closed:
                raise Refused("Overloaded: the engine is closing", 529, "overloaded_error")
            if len(self._waiting) >= self._limits.waiting:
                raise Refused(
                    f"Overloaded: {len(self._waiting)} requests wait already", 529, "overloaded_error"
                )
            self._submitted += 1
            request.number = self._submitted
            self._waiting.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="batch", daemon=True)
                self._thread.start()

    @property
    def running(self) -> int:
        """Requests that have a seat."""
        return sum(row is not None for row in self._rows)

    @property
    def waiting(self) -> int:
        """Requests that have none yet."""
        return len(self._waiting)

    def close(self) -> None:
        """End the thread; requests that run or wait end with an error."""
        with self._lock:
            self._closed, thread = True, self._thread
        if thread:
            thread.join()

    # --- the loop's thread ---

    def _loop(self) -> None:
        torch.set_num_threads(self._threads)  # a new thread takes what was set last, by whomever
        with torch.inference_mode():
            while self._goes_on():
                try:
                    self._turn()
                except Exception as error:  # a bug or no memory: for those who are in it, not for the next
                    self._fail(error)
        if self._closed:
            self._fail(Refused("Overloaded: the engine was closed", 529, "overloaded_error"), everybody=True)

    def _goes_on(self) -> bool:
        """Whether there is work; where there is none, the next request begins a new thread."""
        with self._lock:
            going = not self._closed and bool(self._waiting or self.running)
            if not going:
                self._thread = None
            return going

    def _turn(self) -> None:
        """Rows that were cancelled leave, others join, some prompts are read, and one step is taken."""
        ### BEGIN SOLUTION 5.8: The batcher's loop
        for seat, row in enumerate(self._rows):
            if row and row.cancelled:
                self._leave(seat)
        self._join()
        self._read()
        self._step()
        ### END SOLUTION

    def _leave(self, seat: int) -> None:
        row = self._rows[seat]
        assert row
        self._held[seat], self._rows[seat] = row.as_prompt, None

    def _fail(self, error: Exception, everybody: bool = False) -> None:
        failed = [row for row in self._rows if row]
        if everybody:
            failed += self._waiting
            self._waiting.clear()
        self._seats.clear(self._limits.rows)  # what was half written is not to be trusted
        self._rows = [None] * self._seats.seats
        self._held = [[] for _ in self._rows]
        for row in failed:
            row.out.put(error)

    # --- 1. who joins ---

    def _join(self) -> None:
        """Seats for the first of the queue."""
        if any(each.cancelled for each in tuple(self._waiting)):
            with self._lock:
                self._waiting = deque(each for each in self._waiting if not each.cancelled)
        while self._waiting:
            try:
                if not self._admit(self._waiting[0]):
                    break
            except Exception as error:  # no memory for a seat of that length
                self._waiting.popleft().out.put(error)
                raise
            self._waiting.popleft()

    def _admit(self, request: Request) -> bool:
        """Give the request a seat, if there is one (`_make_room`, and then an empty one); or else say False.

        Of the empty seats it gets the one that holds the longest beginning of its ids but the last (`_ids`,
        `common`); of equals the first. Where any seat, be it taken, holds LEAST more of them or above, these
        are copied from there first. What the seat then holds of them is `read` and `cached`. The chooser
        hears who sits there, and what was written already; where there is a guide, that is none of its
        business.
        """
        ### BEGIN SOLUTION 5.8: The batcher's loop
        if not self._make_room(request.longest):
            return False
        empty = [seat for seat, row in enumerate(self._rows) if row is None]
        if not empty:
            return False
        known = {seat: common(self._ids(seat), request.ids[:-1]) for seat in range(len(self._rows))}
        seat = max(empty, key=lambda seat: (known[seat], -seat))
        source = max(known, key=lambda each: known[each])
        if known[source] >= known[seat] + LEAST:
            self._seats.copy(source, seat, known[source])
            known[seat] = known[source]
        request.read = request.cached = known[seat]
        self._rows[seat] = request
        self._chooser.sit(seat, () if request.guide else request.written)
        return True
        ### END SOLUTION

    def _ids(self, seat: int) -> list[int]:
        row = self._rows[seat]
        return row.as_prompt if row else self._held[seat]

    def _make_room(self, longest: int) -> bool:
        """Whether a row of so many places can sit down: seats grow for it, and shrink to become more."""
        active = [row for row in self._rows if row]
        need = max([longest, *(row.longest for row in active)])
        places = min(max(FIRST, 1 << (need - 1).bit_length()), self._seats.context)
        seats = min(self._limits.rows, max(1, self._limits.places // places))
        if len(active) >= seats:
            return False
        if longest > self._seats.places or (len(active) == len(self._rows) < seats):
            self._compact()
            held = [row.read if row else len(self._held[seat]) for seat, row in enumerate(self._rows)]
            self._seats.resize(seats, places, held)
            self._rows = (self._rows + [None] * seats)[:seats]
            self._held = [ids[:places] for ids in (self._held + [[]] * seats)[:seats]]
        return True

    def _compact(self) -> None:
        """Move rows from the back to empty seats in front."""
        for target, row in enumerate(self._rows):
            source = max((seat for seat, each in enumerate(self._rows) if each), default=-1)
            if row or source < target:
                continue
            moved = self._rows[source]
            assert moved
            self._seats.copy(source, target, moved.read)
            self._chooser.move(source, target)
            self._rows[target], self._rows[source] = moved, None
            self._held[source] = moved.as_prompt

    # --- 2. who reads ---

    def _read(self) -> None:
        """Some of the prompts, the one that came first first: `chunk` tokens at most, of all rows together.

        A prompt is what stands before `begin`, and `read` counts what is in the cache: rows go on where they
        stopped, and leave what is over to the next. Seats read by `prefill`, never nothing.
        """
        ### BEGIN SOLUTION 5.8: The batcher's loop
        left = self._limits.chunk
        reading = [(row.number, seat, row) for seat, row in enumerate(self._rows) if row and not row.decodes]
        for _, seat, row in sorted(reading):
            while left and not row.decodes:
                ids = row.ids[row.read : min(row.begin, row.read + left)]
                self._seats.prefill(seat, ids, row.read)
                row.read += len(ids)
                left -= len(ids)
        ### END SOLUTION

    # --- 3. who decodes ---

    def _step(self) -> None:
        """One forward: the next token of every row whose prompt is read.

        `decode` gets the first unread id of each, and its place; it wants all seats from 0 to the last of
        them: 0 and None where it is nobody's turn. Then they have read one more, and those that have read all
        of their ids write (freely, or by their guide; by seat, in order). The others have yet to read what
        their guide wrote for them.
        """
        ready = {seat: row for seat, row in enumerate(self._rows) if row and row.decodes}
        if not ready:
            return
        if max(ready) + 1 > max(4, 2 * self.running):  # mostly empty seats
            self._compact()
            return
        ### BEGIN SOLUTION 5.8: The batcher's loop
        seats = range(max(ready) + 1)
        ids = [ready[seat].ids[ready[seat].read] if seat in ready else 0 for seat in seats]
        logits = self._seats.decode(ids, [ready[seat].read if seat in ready else None for seat in seats])
        for row in ready.values():
            row.read += 1
        writing = {seat: row for seat, row in ready.items() if row.read == len(row.ids)}
        self._write_freely({seat: row for seat, row in writing.items() if not row.guide}, logits)
        self._write_guided({seat: row for seat, row in writing.items() if row.guide}, logits)
        ### END SOLUTION

    def _write_freely(self, rows: dict[int, Request], logits: Tensor) -> None:
        if not rows:
            return
        self._chooser.penalise(logits)
        chosen = draw(logits if len(rows) == len(logits) else logits[list(rows)], list(rows.values()))
        self._chooser.wrote(list(rows), chosen)
        for (seat, row), token in zip(rows.items(), chosen, strict=True):
            self._wrote(seat, row, [] if token in row.ends else [token])

    def _write_guided(self, rows: dict[int, Request], logits: Tensor) -> None:
        for seat, row in rows.items():
            assert row.guide
            try:
                self._chooser.penalise_in(logits[seat], row.guide.string)
                new = row.guide.choose(logits[seat], row.limit - len(row.written))
            except Exception as error:  # of this grammar: the others go on
                row.out.put(error)
                self._leave(seat)
                continue
            self._wrote(seat, row, new if new and new[0] not in row.ends else [], row.guide.finished)

    def _wrote(self, seat: int, row: Request, new: list[int], finished: bool = False) -> None:
        """Hand out the new tokens; without any, the text is at its end."""
        if new:
            self.decoded += len(new)
            row.add(new)
        if not new or finished or len(row.written) >= row.limit:
            row.out.put(End(finished or not new))
            self._leave(seat)

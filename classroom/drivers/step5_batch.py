"""Scenes of step 5's batcher, on a model that is one line: the next token is a check sum of all before it.

    >>> texts([[[[5, 6], 3]]], rows=2, chunk=8)
    [[[31, 2, 58], 'limit']]

What a row writes is thus right only if every token that it has read stands in its place in the cache. There
is no thread: whoever tells the scene says when there is a turn.
"""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from queue import Empty
from typing import Any

import torch

from step5_serving.engines.batching.choose import Chooser
from step5_serving.engines.batching.request import End, Request
from step5_serving.engines.batching.scheduler import Limits, Scheduler

VOCABULARY = 64
PLACES = 512  # of a seat; longer requests leave fewer seats
MOST_TURNS = 400


class _Model:
    """Stands in for Seats: the cache is what was read by place, and each forward is noted by request."""

    context = 2048

    def __init__(self, seats: int) -> None:
        self.sitting: Callable[[int], int] = lambda seat: seat  # the number of the request in a seat
        self.read: list[list[int]] = []  # [number, tokens] of each prefill
        self.forwards: list[list[list[int]]] = []  # [number, place, id] of each row in it
        self.copies: list[int] = []  # places of each
        self.clear(seats)

    def clear(self, seats: int) -> None:
        self.cache: list[dict[int, int]] = []
        self.seats = self.places = 0
        self.resize(seats, PLACES)

    def resize(self, seats: int, places: int, held: Sequence[int] = ()) -> None:
        kept = [
            {place: id for place, id in each.items() if place < min(places, n)}
            for each, n in zip(self.cache, held, strict=False)
        ]
        self.cache = (kept + [{} for _ in range(seats)])[:seats]
        self.seats, self.places = seats, places

    def copy(self, source: int, target: int, places: int) -> None:
        self.copies.append(places)
        self.cache[target] |= {at: id for at, id in self.cache[source].items() if at < places}

    def prefill(self, seat: int, ids: Sequence[int], start: int) -> None:
        if not ids:
            raise ValueError("prefill without ids")
        number = self.sitting(seat)
        if self.read and self.read[-1][0] == number:
            self.read[-1][1] += len(ids)
        else:
            self.read.append([number, len(ids)])
        self.cache[seat] |= dict(enumerate(ids, start))

    def decode(self, ids: Sequence[int], positions: Sequence[int | None]) -> torch.Tensor:
        logits = torch.zeros(len(ids), VOCABULARY)
        forward = []
        for seat, (id, place) in enumerate(zip(ids, positions, strict=True)):
            if place is None:
                continue
            forward.append([self.sitting(seat), place, id])
            self.cache[seat][place] = id
            known = [self.cache[seat].get(each) for each in range(place + 1)]
            logits[seat, zlib.crc32(repr(known).encode()) % VOCABULARY] = 1.0
        self.forwards.append(sorted(forward))
        return logits


class _Guide:
    """A grammar that writes two tokens at a time: the model's choice, and one that follows from it."""

    string: tuple[int, ...] = ()
    finished = False

    def choose(self, logits: torch.Tensor, room: int) -> list[int]:
        token = int(logits.argmax())
        return [token, (token + 1) % VOCABULARY][:room]


class _Scene:
    """A scheduler without its thread. Requests are numbered from 1 in the order in which they come."""

    def __init__(self, rows: int, chunk: int) -> None:
        self.model = _Model(rows)
        limits = Limits(rows, rows * PLACES, chunk)
        seats: Any = self.model
        self.scheduler: Any = Scheduler(seats, Chooser(rows, lambda _token: False, VOCABULARY - 1), limits)
        self.scheduler._thread = threading.current_thread()  # `submit` starts no other
        self.model.sitting = lambda seat: getattr(self.scheduler._rows[seat], "number", 0)
        self.requests: list[Any] = []

    def request(
        self, prompt: Sequence[int], limit: int, ends: Sequence[int] = (), guided: bool = False
    ) -> Any:
        guide: Any = _Guide() if guided else None
        self.requests.append(Request(list(prompt), limit, frozenset(ends), guide=guide))
        self.requests[-1].number = len(self.requests)
        return self.requests[-1]

    def sit(self, seat: int, prompt: Sequence[int], read: int, limit: int = 8, **more: Any) -> None:
        """A request that is in a seat already, and has read so many of its ids."""
        row = self.request(prompt, limit, **more)
        row.read = read
        self.scheduler._rows[seat] = row
        self.model.cache[seat] = dict(enumerate(row.ids[:read]))

    def heard(self) -> list[list[Any]]:
        """What every request was told: its tokens, and how it ended."""
        told = []
        for request in self.requests:
            tokens: list[int] = []
            end = "goes on"
            with contextlib.suppress(Empty):
                while True:
                    new = request.out.get_nowait()
                    if isinstance(new, End):
                        end = "finished" if new.finished else "limit"
                    elif isinstance(new, list):
                        tokens += new
                    else:
                        end = type(new).__name__
            told.append([tokens, end])
        return told

    def play(
        self, arrivals: Sequence[Sequence[Any]], cancels: Mapping[int, Sequence[int]]
    ) -> list[list[Any]]:
        """Turn after turn, until nobody is left: who left, how many wait, who read, who was in a forward."""
        turns = []
        for turn in range(MOST_TURNS):
            for each in arrivals[turn] if turn < len(arrivals) else ():
                self.scheduler.submit(self.request(*each))
            for number in cancels.get(turn, ()):
                self.requests[number - 1].cancelled = True
            if turn >= len(arrivals) and not (self.scheduler.running or self.scheduler.waiting):
                return turns
            self.model.read, self.model.forwards = [], []
            before = {row.number for row in self.scheduler._rows if row}
            with torch.inference_mode():
                self.scheduler._turn()
            forward = [[row[0] for row in each] for each in self.model.forwards]
            gone = before - {row.number for row in self.scheduler._rows if row}
            turns.append([sorted(gone), self.scheduler.waiting, self.model.read, forward])
        raise RuntimeError(f"somebody still sits or waits after {MOST_TURNS} turns")


# --- scenes ---------------------------------------------------------------------------------------------


def texts(
    arrivals: Sequence[Sequence[Any]],
    rows: int,
    chunk: int,
    cancels: Mapping[int, Sequence[int]] | None = None,
) -> list[list[Any]]:
    """What each request wrote, and how it ended.

    Before turn n those of arrivals[n] come: [prompt, limit, ends, guided], the last two may be left out; and
    those whose numbers are in cancels[n] are cancelled.
    """
    scene = _Scene(rows, chunk)
    scene.play(arrivals, cancels or {})
    return scene.heard()


def turns(
    arrivals: Sequence[Sequence[Any]],
    rows: int,
    chunk: int,
    cancels: Mapping[int, Sequence[int]] | None = None,
) -> list[list[Any]]:
    """The same, turn by turn: who left, how many wait, who read how much, who was in each forward."""
    return _Scene(rows, chunk).play(arrivals, cancels or {})


def reads(sitting: Sequence[Sequence[Any]], chunk: int, times: int) -> list[Any]:
    """`_read`, several times: what each request read, in order; at the end what is in the cache.

    Args:
        sitting: [seat, prompt, how much of it is read]; the first came first.
    """
    scene = _Scene(8, chunk)
    for seat, prompt, read in sitting:
        scene.sit(seat, prompt, read)
    told: list[Any] = []
    for _ in range(times):
        scene.model.read = []
        scene.scheduler._read()
        told.append(scene.model.read)
    return [*told, [request.read for request in scene.requests], scene.model.cache]


def admits(
    sitting: Sequence[Sequence[Any]],
    left: Mapping[int, Sequence[int]],
    newcomers: Sequence[Sequence[Any]],
    rows: int,
) -> list[Any]:
    """`_admit` for each newcomer [prompt, limit]: whether it got a seat, which, and what it needs not read.

    Args:
        sitting: as in `reads`.
        left: by seat, the ids in the cache of a seat whose row has left.
    """
    scene = _Scene(rows, 8)
    for seat, prompt, read in sitting:
        scene.sit(seat, prompt, read)
    for seat, ids in left.items():
        scene.scheduler._held[seat] = list(ids)
        scene.model.cache[seat] = dict(enumerate(ids))
    told = []
    for prompt, limit in newcomers:
        request = scene.request(prompt, limit)
        scene.model.copies = []
        got = scene.scheduler._admit(request)
        seats = [seat for seat, row in enumerate(scene.scheduler._rows) if row is request]
        there = [scene.model.cache[seat].get(at) for seat in seats for at in range(request.read)]
        told.append([got, seats, request.read, request.cached, scene.model.copies, there])
    return told


def steps(sitting: Sequence[Sequence[Any]], times: int) -> list[Any]:
    """`_step`, several times: [number, place, id] of each row in each forward; at the end what was written.

    Args:
        sitting: [seat, prompt, how much is read, limit, ends, guided].
    """
    scene = _Scene(8, 8)
    for seat, prompt, read, limit, ends, guided in sitting:
        scene.sit(seat, prompt, read, limit, ends=ends, guided=guided)
    told: list[Any] = []
    for _ in range(times):
        scene.model.forwards = []
        with torch.inference_mode():
            scene.scheduler._step()
        told.append(scene.model.forwards)
    return [*told, scene.heard(), [request.read for request in scene.requests]]

"""Step 5's batcher, played by the grader: it is the model, its cache, and who comes and goes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from classroom.drivers.step5 import CONTEXT, VOCABULARY
from classroom.grading.callbacks import Log
from classroom.grading.draw import Draw
from classroom.grading.submission import Fresh, Made, Submission
from classroom.rubrics.step5_scenes import DRIVERS

SLOTS = 64  # no scene has as many
MOST_IDS = 500_000  # that are looked at in a scene
BATCH = f"{DRIVERS}.step5_batch"


def _number(value: Any, end: int) -> int:
    """The value, if it is a number from 0 up to `end`."""
    if type(value) is not int or not 0 <= value < end:
        raise ValueError("not a number that this can be")
    return value


class Model:
    """The model and the cache of all slots: the next token follows, secretly, from all ids before it.

    It hears what is computed, and what each request is told. The submission has one, and the reference.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.looked_at = seed, 0
        self.held: dict[int, dict[int, Any]] = {}  # ids by slot and place
        self.blocks: dict[int, list[Any]] = {}  # that were read
        self.prefills, self.forwards, self.texts = Log(), Log(), Log()

    def ask(self, what: str, args: list[Any]) -> Any:
        """What the stand-ins of `step5_batch` ask."""
        if what not in ("clear", "resize", "move", "read", "write", "run", "hear"):
            raise ValueError("nothing that a model can be asked")
        return getattr(self, f"_{what}")(*args)

    def seen(self) -> list[Any]:
        """What was computed since it was looked at last, whatever the slots, and what was told to whom."""
        told: dict[int, list[Any]] = {}
        for number, what in self.texts.entries:
            told.setdefault(number, []).extend(what if isinstance(what, list) else [what])
        seen = [self.prefills.entries, self.forwards.entries, told]
        self.prefills, self.forwards, self.texts = Log(), Log(), Log()
        return seen

    def _look(self, n: int) -> None:
        """So many ids are looked at, which takes time and memory.

        Raises:
            RuntimeError: those are too many.
        """
        self.looked_at += n
        if self.looked_at > MOST_IDS:
            raise RuntimeError("asked too often")

    def _clear(self) -> None:
        self.held = {}

    def _resize(self, held: list[Any]) -> None:
        kept = [_number(each, CONTEXT + 1) for each in held[:SLOTS]]
        self.held = {slot: self._first(slot, n) for slot, n in enumerate(kept)}

    def _move(self, source: Any, target: Any, n: Any) -> None:
        self.held[_number(target, SLOTS)] = self._first(_number(source, SLOTS), _number(n, CONTEXT + 1))

    def _first(self, slot: int, n: int) -> dict[int, Any]:
        return {place: id for place, id in self.held.get(slot, {}).items() if place < n}

    def _read(self, slot: Any, start: Any, end: Any) -> int:
        """What is in these places, as a number that stands for it."""
        self._look(_number(end, CONTEXT + 1))
        held = self.held.get(_number(slot, SLOTS), {})
        ids = [held.get(place) for place in range(_number(start, CONTEXT), end)]
        block = zlib.crc32(repr((self.seed, "block", ids)).encode())
        self.blocks[block] = ids
        return block

    def _write(self, slot: Any, start: Any, blocks: list[Any]) -> None:
        ids = [id for each in blocks[:CONTEXT] for id in self.blocks[_number(each, 1 << 32)]]
        self._put(_number(slot, SLOTS), _number(start, CONTEXT), ids)

    def _put(self, slot: int, start: int, ids: Sequence[Any]) -> None:
        if start + len(ids) > CONTEXT:
            raise ValueError("more than a slot holds")
        self._look(len(ids))
        self.held.setdefault(slot, {}).update(enumerate(ids, start))

    def _run(self, prefill: list[Any], decode: list[Any]) -> list[int]:
        for number, slot, start, ids in map(_span, prefill):
            self._put(slot, start, ids)
            entries = self.prefills.entries
            if entries and entries[-1][0] == number and entries[-1][1] + len(entries[-1][2]) == start:
                entries[-1][2].extend(ids)  # it went on where it stopped
            else:
                self.prefills.add(number, start, list(ids))
        tokens, forward = list[int](), list[list[int]]()
        for number, slot, start, ids in map(_span, decode):
            self._put(slot, start, ids)
            known = [self.held[slot].get(place) for place in range(start + len(ids))]
            for place, id in enumerate(ids, start):
                self._look(place)
                forward.append([number, place, id])
                tokens.append(zlib.crc32(repr((self.seed, known[: place + 1])).encode()) % VOCABULARY)
        if forward:
            self.forwards.add(*sorted(forward))
        return tokens

    def _hear(self, number: Any, what: Any) -> None:
        if type(what) is list:
            self._look(len(what))
            what = [_number(each, VOCABULARY) for each in what]
        elif type(what) is not str or len(what) > 100:
            raise ValueError("not what a request is told")
        self.texts.add(_number(number, CONTEXT), what)


def _span(span: list[Any]) -> tuple[int, int, int, list[int]]:
    number, slot, start, ids = span
    if not ids or len(ids) > CONTEXT:
        raise ValueError("a span of no ids, or of too many")
    known = [_number(each, VOCABULARY) for each in ids]
    return _number(number, CONTEXT), _number(slot, SLOTS), _number(start, CONTEXT), known


class Batcher:
    """An engine's core whose steps the grader takes. Requests are numbered from 1 in the order of arrival."""

    def __init__(self, submission: Submission, draw: Draw, rows: int, chunk: int) -> None:
        self.submission, seed = submission, draw.getrandbits(60)
        self.models = [Model(seed), Model(seed)]  # the submission's, and the reference's
        asks = iter([each.ask for each in self.models])
        self.cache = submission.make(f"{BATCH}:Cache", rows, Fresh(asks.__next__))
        self.core = submission.make(f"{BATCH}:core", self.cache, rows, chunk)
        self.requests: list[Made] = []

    def request(self, prompt: list[int], limit: int, ends: Sequence[int] = (), guided: bool = False) -> Made:
        """Somebody who can come."""
        given = len(self.requests) + 1, prompt, limit, list(ends), guided
        self.requests.append(self.submission.make(f"{BATCH}:sequence", self.cache, *given))
        return self.requests[-1]

    def sit(self, prompt: list[int], computed: int, limit: int = 8, **more: Any) -> None:
        """A request that runs already, with so many of its ids computed."""
        slot, made = len(self.requests), self.request(prompt, limit, **more)
        for each in self.models:
            each.held[slot] = dict(enumerate(prompt[:computed]))
        self.submission.check(f"{BATCH}:sit", self.core, made, slot, computed)

    def step(self) -> None:
        """One step: what it computes, in the order of the prompts, and what each request is told then."""
        self.core.check("step")
        self.submission.agree("what it computed", self.models[0].seen(), lambda: self.models[1].seen())

    def read(self) -> None:
        """One step, of which only what it computes of prompts counts, and how far it says that it is."""
        self.core.check("step")
        self.submission.agree("what it read", self.models[0].seen()[0], lambda: self.models[1].seen()[0])
        self.check("num_computed")

    def check(self, name: str) -> None:
        """A number of each request."""
        for each in self.requests:
            each.check_get(name)

    def play(
        self, arrivals: Sequence[Sequence[Sequence[Any]]], aborts: Mapping[int, Sequence[int]] | None = None
    ) -> None:
        """Step after step until nobody is left: before step n those of arrivals[n] come, and the requests
        of aborts[n], by number, are aborted."""
        step = 0
        while step < len(arrivals) or self._there("running") or self._there("waiting"):
            for each in arrivals[step] if step < len(arrivals) else ():
                self.core.check("add", self.request(*each))
            for number in (aborts or {}).get(step, ()):
                self.requests[number - 1].check("__setattr__", "aborted", True)
            self.step()
            step += 1

    def _there(self, where: str) -> int:
        return self.core.check(f"scheduler.{where}.__len__")

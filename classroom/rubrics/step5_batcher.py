"""Step 5's batcher: the grader plays the model and the requests."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from classroom.drivers.step5 import CONTEXT, VOCABULARY
from classroom.grading.callbacks import Log
from classroom.grading.draw import Draw
from classroom.grading.submission import Fresh, Made, Submission
from classroom.rubrics.step5_scenes import DRIVERS

MOST_IDS = 500_000  # that are looked at in a scene
BATCH = f"{DRIVERS}.step5_batch"


def _number(value: Any, end: int) -> int:
    """The value, if it is a number from 0 up to `end`."""
    if type(value) is not int or not 0 <= value < end:
        raise ValueError("not a number that this can be")
    return value


class Model:
    """The model: the next token follows, secretly, from all ids that the cache holds of a request.

    It logs what is computed and what each request is told. The submission has one, the reference another.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.looked_at = seed, 0
        self.prefills, self.forwards, self.texts = Log(), Log(), Log()

    def run(self, prefill: list[Any], decode: list[Any], before: list[Any]) -> list[int]:
        """A forward pass for spans [number, start, ids]; returns the token after each id of `decode`.

        before: the ids that the cache holds before each span of `decode`.
        """
        for number, start, ids in map(self._span, prefill):
            entries = self.prefills.entries
            if entries and entries[-1][0] == number and entries[-1][1] + len(entries[-1][2]) == start:
                entries[-1][2].extend(ids)  # it goes on where it stopped
            else:
                self.prefills.add(number, start, ids)
        tokens, forward = list[int](), list[list[int]]()
        for (number, start, ids), held in zip(map(self._span, decode), before, strict=True):
            known = [*held[:start], *ids]
            for place, id in enumerate(ids, start):
                self._look(place)
                forward.append([number, place, id])
                tokens.append(zlib.crc32(repr((self.seed, known[: place + 1])).encode()) % VOCABULARY)
        if forward:
            self.forwards.add(*sorted(forward))
        return tokens

    def hear(self, number: Any, what: Any) -> None:
        """A request is told tokens, or how its text ended."""
        if type(what) is list:
            self._look(len(what))
            what = [_number(each, VOCABULARY) for each in what]
        elif type(what) is not str or len(what) > 100:
            raise ValueError("not what a request is told")
        self.texts.add(_number(number, CONTEXT), what)

    def seen(self) -> list[Any]:
        """What was computed since the last look, and what each request was told."""
        told: dict[int, list[Any]] = {}
        for number, what in self.texts.entries:
            told.setdefault(number, []).extend(what if isinstance(what, list) else [what])
        seen = [self.prefills.entries, self.forwards.entries, told]
        self.prefills, self.forwards, self.texts = Log(), Log(), Log()
        return seen

    def _look(self, n: int) -> None:
        """Count the ids that are looked at, which takes time and memory.

        Raises:
            RuntimeError: there are too many.
        """
        self.looked_at += n
        if self.looked_at > MOST_IDS:
            raise RuntimeError("asked too often")

    def _span(self, span: list[Any]) -> tuple[int, int, list[int]]:
        number, start, ids = span
        known = [_number(each, VOCABULARY) for each in ids]
        if not known or _number(start, CONTEXT) + len(known) > CONTEXT:
            raise ValueError("a span of no ids, or beyond the context")
        self._look(len(known))
        return _number(number, CONTEXT), start, known


class Batcher:
    """An engine's core whose steps the grader takes. Requests are numbered from 1 as they arrive."""

    def __init__(self, submission: Submission, draw: Draw, rows: int, chunk: int) -> None:
        self.submission, seed = submission, draw.getrandbits(60)
        self.models = [Model(seed), Model(seed)]  # the submission's, and the reference's
        asks = [iter([each.run for each in self.models]), iter([each.hear for each in self.models])]
        self.core = submission.make(f"{BATCH}:core", rows, chunk, *(Fresh(each.__next__) for each in asks))
        self.requests: list[Made] = []

    def request(self, prompt: list[int], limit: int, ends: Sequence[int] = (), guided: bool = False) -> Made:
        """A request that can be added."""
        given = len(self.requests) + 1, prompt, limit, list(ends), guided
        self.requests.append(self.submission.make(f"{BATCH}:sequence", self.core, *given))
        return self.requests[-1]

    def sit(self, prompt: list[int], computed: int, limit: int = 8, **more: Any) -> None:
        """A request that is already running, with this many of its ids computed."""
        slot = len(self.requests)
        self.submission.check(f"{BATCH}:sit", self.core, self.request(prompt, limit, **more), slot, computed)

    def step(self) -> None:
        """Take a step; compare what it computes and what each request is told."""
        self.core.check("step")
        self.submission.agree("what it computed", self.models[0].seen(), lambda: self.models[1].seen())

    def read(self) -> None:
        """Take a step; compare only what it reads of the prompts, and its `num_computed`."""
        self.core.check("step")
        self.submission.agree("what it read", self.models[0].seen()[0], lambda: self.models[1].seen()[0])
        self.check("num_computed")

    def check(self, name: str) -> None:
        """Compare a number of each request."""
        for each in self.requests:
            each.check_get(name)

    def play(
        self, arrivals: Sequence[Sequence[Sequence[Any]]], aborts: Mapping[int, Sequence[int]] | None = None
    ) -> None:
        """Take steps until no request is left. Before step n the requests of arrivals[n] are added, and those
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

"""Scenes of step 5's batcher, on a model that is one line: the next token is a check sum of all before it.

    >>> texts([[[[5, 6], 3]]], rows=2, chunk=8)
    [[[31, 2, 58], 'limit']]

What a sequence writes is thus right only if every token before it stands in its place in the cache. There
is no thread: whoever tells the scene says when there is a step.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import zlib
from collections.abc import Mapping, Sequence
from queue import Empty
from typing import Any

import torch

from step5_serving.engines.batching.core import EngineCore
from step5_serving.engines.batching.prefix_cache import BLOCK, PrefixCache
from step5_serving.engines.batching.sampler import Sampler
from step5_serving.engines.batching.scheduler import Batch, Limits, Scheduler
from step5_serving.engines.batching.sequence import End
from step5_serving.engines.batching.sequence import Sequence as OneText

VOCABULARY = 64
PLACES = 512  # of a slot; longer requests leave fewer slots
MOST_STEPS = 400
BLOCKS = 12  # of the prefix cache


class _Cache:
    """Stands in for KVCache: what was computed, by slot and place."""

    context = 2048

    def __init__(self, slots: int) -> None:
        self.clear(slots)

    def clear(self, slots: int) -> None:
        self.held: list[dict[int, int]] = []
        self.resize(slots, PLACES, [])

    def resize(self, slots: int, places: int, held: list[int]) -> None:
        kept = [
            {place: id for place, id in each.items() if place < n}
            for each, n in zip(self.held, held, strict=False)
        ]
        self.held = (kept + [{} for _ in range(slots)])[:slots]
        self.slots, self.places = slots, places

    def move(self, source: int, target: int, n: int) -> None:
        self.held[target] = {at: id for at, id in self.held[source].items() if at < n}

    def read(self, slot: int, start: int, end: int) -> list[list[int]]:
        return [[self.held[slot][at + i] for i in range(BLOCK)] for at in range(start, end, BLOCK)]

    def write(self, slot: int, start: int, blocks: list[list[int]]) -> None:
        self.held[slot] |= dict(enumerate(itertools.chain(*blocks), start))


class _Runner:
    """Stands in for ModelRunner: notes what is computed, by request."""

    def __init__(self, cache: _Cache, numbers: dict[OneText, int]) -> None:
        self.cache, self.numbers = cache, numbers
        self.prefills: list[list[int]] = []  # [number, tokens] of each prefill
        self.forwards: list[list[list[int]]] = []  # [number, place, id] of each token in it

    def run(self, batch: Batch) -> torch.Tensor | None:
        for span in batch.prefill:
            if not span.ids:
                raise ValueError("prefill without ids")
            number = self.numbers[span.sequence]
            if self.prefills and self.prefills[-1][0] == number:
                self.prefills[-1][1] += len(span.ids)
            else:
                self.prefills.append([number, len(span.ids)])
            self.cache.held[span.sequence.slot] |= dict(enumerate(span.ids, span.start))
        tokens = [
            (span.sequence, place, id)
            for span in batch.decode
            for place, id in enumerate(span.ids, span.start)
        ]
        if not tokens:
            return None
        logits = torch.zeros(len(tokens), VOCABULARY)
        for row, (sequence, place, id) in enumerate(tokens):
            held = self.cache.held[sequence.slot]
            held[place] = id
            known = [held.get(each) for each in range(place + 1)]
            logits[row, zlib.crc32(repr(known).encode()) % VOCABULARY] = 1.0
        self.forwards.append(sorted([self.numbers[sequence], place, id] for sequence, place, id in tokens))
        return logits


class _Guide:
    """A grammar that writes two tokens at a time: the model's choice, and one that follows from it."""

    string: tuple[int, ...] = ()
    finished = False

    def choose(self, logits: torch.Tensor, room: int) -> list[int]:
        token = int(logits.argmax())
        return [token, (token + 1) % VOCABULARY][:room]


class _Scene:
    """An engine's core without its thread. Requests are numbered from 1 in the order in which they come."""

    def __init__(self, rows: int, chunk: int) -> None:
        cache: Any = _Cache(rows)
        self.numbers: dict[OneText, int] = {}
        self.runner = _Runner(cache, self.numbers)
        self.scheduler = Scheduler(Limits(rows, rows * PLACES, chunk), cache, PrefixCache(BLOCKS))
        runner: Any = self.runner
        self.core: Any = EngineCore(self.scheduler, runner, Sampler(lambda _token: False))
        self.core._thread = threading.current_thread()  # `add` starts no other
        self.sequences: list[Any] = []

    def sequence(
        self, prompt: Sequence[int], limit: int, ends: Sequence[int] = (), guided: bool = False
    ) -> Any:
        guide: Any = _Guide() if guided else None
        sequence: Any = OneText(list(prompt), limit, frozenset(ends), guide=guide)
        self.sequences.append(sequence)
        self.numbers[sequence] = len(self.sequences)
        return sequence

    def sit(self, prompt: Sequence[int], computed: int, limit: int = 8, **more: Any) -> None:
        """A request that runs already, with so many of its ids computed."""
        sequence = self.sequence(prompt, limit, **more)
        sequence.num_computed, sequence.slot = computed, len(self.scheduler.running)
        self.scheduler.running.append(sequence)
        self.runner.cache.held[sequence.slot] = dict(enumerate(sequence.token_ids[:computed]))

    def heard(self) -> list[list[Any]]:
        """What every request was told: its tokens, and how it ended."""
        told = []
        for sequence in self.sequences:
            tokens: list[int] = []
            end = "goes on"
            with contextlib.suppress(Empty):
                while True:
                    new = sequence.out.get_nowait()
                    if isinstance(new, End):
                        end = "finished" if new.finished else "limit"
                    elif isinstance(new, list):
                        tokens += new
                    else:
                        end = type(new).__name__
            told.append([tokens, end])
        return told

    def play(self, arrivals: Sequence[Sequence[Any]], aborts: Mapping[int, Sequence[int]]) -> list[list[Any]]:
        """Step after step, until nobody is left: who left, how many wait, what was computed of whom."""
        steps = []
        for step in range(MOST_STEPS):
            for each in arrivals[step] if step < len(arrivals) else ():
                self.core.add(self.sequence(*each))
            for number in aborts.get(step, ()):
                self.sequences[number - 1].aborted = True
            if step >= len(arrivals) and not (self.scheduler.running or self.scheduler.waiting):
                return steps
            self.runner.prefills, self.runner.forwards = [], []
            before = {self.numbers[each] for each in self.scheduler.running}
            with torch.inference_mode():
                self.core.step()
            forward = [[token[0] for token in each] for each in self.runner.forwards]
            gone = before - {self.numbers[each] for each in self.scheduler.running}
            steps.append([sorted(gone), len(self.scheduler.waiting), self.runner.prefills, forward])
        raise RuntimeError(f"somebody still runs or waits after {MOST_STEPS} steps")


# --- scenes ---------------------------------------------------------------------------------------------


def texts(
    arrivals: Sequence[Sequence[Any]],
    rows: int,
    chunk: int,
    aborts: Mapping[int, Sequence[int]] | None = None,
) -> list[list[Any]]:
    """What each request wrote, and how it ended.

    Before step n those of arrivals[n] come: [prompt, limit, ends, guided], the last two may be left out; and
    those whose numbers are in aborts[n] are aborted.
    """
    scene = _Scene(rows, chunk)
    scene.play(arrivals, aborts or {})
    return scene.heard()


def steps(
    arrivals: Sequence[Sequence[Any]],
    rows: int,
    chunk: int,
    aborts: Mapping[int, Sequence[int]] | None = None,
) -> list[list[Any]]:
    """The same, step by step: who left, how many wait, whose prompt was computed, who was in the forward."""
    return _Scene(rows, chunk).play(arrivals, aborts or {})


def prefills(running: Sequence[Sequence[Any]], chunk: int, times: int) -> list[Any]:
    """What each step computes of prompts, several times; at the end how much is computed of each.

    Args:
        running: [prompt, how much of it is computed]; the first came first.
    """
    scene = _Scene(8, chunk)
    for prompt, computed in running:
        scene.sit(prompt, computed)
    told: list[Any] = []
    for _ in range(times):
        scene.runner.prefills = []
        with torch.inference_mode():
            scene.core.step()
        told.append(scene.runner.prefills)
    return [*told, [each.num_computed for each in scene.sequences], scene.runner.cache.held]


def prefixes(prompts: Sequence[Sequence[int]], rows: int, chunk: int) -> list[Any]:
    """How much of each prompt the prefix cache had, and what was computed, when they come all at once."""
    scene = _Scene(rows, chunk)
    played = scene.play([[[prompt, 3] for prompt in prompts]], {})
    return [[each.num_cached for each in scene.sequences], [step[2] for step in played]]


def forwards(running: Sequence[Sequence[Any]], times: int) -> list[Any]:
    """[number, place, id] of each token in each forward; at the end what was written.

    Args:
        running: [prompt, how much is computed, limit, ends, guided].
    """
    scene = _Scene(8, 8)
    for prompt, computed, limit, ends, guided in running:
        scene.sit(prompt, computed, limit, ends=ends, guided=guided)
    told: list[Any] = []
    for _ in range(times):
        scene.runner.forwards = []
        with torch.inference_mode():
            scene.core.step()
        told.append(scene.runner.forwards)
    return [*told, scene.heard(), [each.num_computed for each in scene.sequences]]

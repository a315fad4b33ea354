"""Stand-ins for the batcher of step 5: the model, its cache and whoever hears a text are the grader's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from classroom.drivers.step5 import CONTEXT, VOCABULARY
from step5_serving.config import Options
from step5_serving.engines.batching.core import EngineCore
from step5_serving.engines.batching.prefix_cache import BLOCK, PrefixCache
from step5_serving.engines.batching.sampler import Sampler
from step5_serving.engines.batching.scheduler import Batch, Scheduler, Span
from step5_serving.engines.batching.sequence import End
from step5_serving.engines.batching.sequence import Sequence as OneText

PLACES = 512  # of a slot; longer requests leave fewer slots
BLOCKS = 12  # of the prefix cache
Ask = Callable[[str, list[Any]], Any]


class Cache:
    """Stands in for KVCache: everything is asked of the grader, by `ask(what, arguments)`."""

    context = CONTEXT

    def __init__(self, slots: int, ask: Ask) -> None:
        self.ask = ask
        self.slots, self.places = slots, PLACES

    def clear(self, slots: int) -> None:
        self.slots, self.places = slots, PLACES
        self.ask("clear", [])

    def resize(self, slots: int, places: int, held: Sequence[int]) -> None:
        self.slots, self.places = slots, places
        self.ask("resize", [list(held)])

    def move(self, source: int, target: int, n: int) -> None:
        self.ask("move", [source, target, n])

    def read(self, slot: int, start: int, end: int) -> list[int]:
        """Blocks: the numbers that they have at the grader."""
        return [self.ask("read", [slot, at, at + BLOCK]) for at in range(start, end, BLOCK)]

    def write(self, slot: int, start: int, blocks: Sequence[int]) -> None:
        self.ask("write", [slot, start, list(blocks)])


class Runner:
    """Stands in for ModelRunner: the grader says which token comes after each of a decode span."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def run(self, batch: Batch) -> torch.Tensor | None:
        spans = [[_plain(each) for each in part] for part in (batch.prefill, batch.decode)]
        tokens = self._ask("run", spans)
        if not tokens:
            return None
        return torch.nn.functional.one_hot(torch.tensor(tokens), VOCABULARY).float()


def _plain(span: Span) -> list[Any]:
    sequence: Any = span.sequence
    return [sequence.number, sequence.slot, span.start, list(span.ids)]


class Guide:
    """A grammar that writes two tokens at a time: the model's choice, and one that follows from it."""

    string: tuple[int, ...] = ()
    finished = False

    def choose(self, logits: torch.Tensor, room: int) -> list[int]:
        token = int(logits.argmax())
        return [token, (token + 1) % VOCABULARY][:room]


class Out:
    """Where a request's tokens go: to the grader."""

    def __init__(self, number: int, ask: Ask) -> None:
        self._number, self._ask = number, ask

    def put(self, what: Any) -> None:
        if isinstance(what, End):
            what = "finished" if what.finished else "limit"
        self._ask("hear", [self._number, what if isinstance(what, (str, list)) else type(what).__name__])


def core(cache: Any, rows: int, chunk: int) -> Any:
    """An engine's core without its thread: whoever holds it takes the steps."""
    options = Options(rows, chunk=chunk, places=PLACES, lookup=0)
    scheduler = Scheduler(options, cache, PrefixCache(BLOCKS))
    runner: Any = Runner(cache.ask)
    made: Any = EngineCore(scheduler, runner, Sampler(lambda _token: False))
    made._thread = threading.current_thread()  # `add` starts no other
    return made


def sequence(cache: Cache, number: int, prompt: list[int], limit: int, ends: list[int], guided: bool) -> Any:
    """A request whose text the grader hears."""
    guide: Any = Guide() if guided else None
    out: Any = Out(number, cache.ask)
    made: Any = OneText(list(prompt), limit, frozenset(ends), guide=guide, out=out)
    made.number = number
    return made


def sit(core: Any, sequence: Any, slot: int, computed: int) -> None:
    """A request runs already, in a slot that holds so many of its ids."""
    sequence.slot, sequence.num_computed = slot, computed
    core.scheduler.running.append(sequence)

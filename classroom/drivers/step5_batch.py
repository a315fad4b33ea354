"""Stand-ins for the batcher of step 5: the model and the receivers of texts are the grader's."""

import threading
from collections.abc import Callable, Sequence
from itertools import chain
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
Run = Callable[[list[Any], list[Any], list[Any]], list[int]]
Hear = Callable[[int, Any], None]


class Cache:
    """Stands in for KVCache: each place of a slot holds the id that was computed there."""

    context = CONTEXT

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.slots = self.places = 0
        self._held: dict[tuple[int, int], Any] = {}  # by slot and place

    def resize(self, slots: int, places: int, _held: Sequence[int]) -> None:
        self.slots, self.places = slots, places

    def move(self, source: int, target: int, n: int) -> None:
        self.put(target, 0, self.ids(source, 0, n))

    def read(self, slot: int, start: int, end: int) -> list[list[Any]]:
        return [self.ids(slot, place, place + BLOCK) for place in range(start, end, BLOCK)]

    def write(self, slot: int, start: int, blocks: Sequence[Sequence[Any]]) -> None:
        self.put(slot, start, [*chain(*blocks)])

    def ids(self, slot: int, start: int, end: int) -> list[Any]:
        return [self._held.get((slot, place)) for place in range(start, end)]

    def put(self, slot: int, start: int, ids: Sequence[Any]) -> None:
        self._held |= {(slot, place): id for place, id in enumerate(ids, start)}


class Runner:
    """Stands in for ModelRunner: the grader gives the next token of each decoded id."""

    def __init__(self, cache: Cache, run: Run) -> None:
        self._cache, self._run = cache, run

    def run(self, batch: Batch) -> torch.Tensor | None:
        for span in (*batch.prefill, *batch.decode):
            self._cache.put(span.sequence.slot, span.start, span.ids)
        before = [self._cache.ids(span.sequence.slot, 0, span.start) for span in batch.decode]
        tokens = self._run([*map(_plain, batch.prefill)], [*map(_plain, batch.decode)], before)
        return torch.nn.functional.one_hot(torch.tensor(tokens), VOCABULARY).float() if tokens else None


def _plain(span: Span) -> list[Any]:
    sequence: Any = span.sequence
    return [sequence.number, span.start, list(span.ids)]


class Guide:
    """A grammar that writes two tokens at a time: the model's choice, and one that follows from it."""

    string: tuple[int, ...] = ()
    finished = False

    def choose(self, logits: torch.Tensor, room: int) -> list[int]:
        token = int(logits.argmax())
        return [token, (token + 1) % VOCABULARY][:room]


class Out:
    """Sends a request's tokens to the grader."""

    def __init__(self, number: int, hear: Hear) -> None:
        self._number, self._hear = number, hear

    def put(self, what: Any) -> None:
        if isinstance(what, End):
            what = "finished" if what.finished else "limit"
        self._hear(self._number, what if isinstance(what, (str, list)) else type(what).__name__)


def core(rows: int, chunk: int, run: Run, hear: Hear) -> Any:
    """An engine's core without its thread: the test takes the steps."""
    cache: Any = Cache()
    runner: Any = Runner(cache, run)
    scheduler = Scheduler(Options(rows, chunk=chunk, places=PLACES, lookup=0), cache, PrefixCache(BLOCKS))
    made: Any = EngineCore(scheduler, runner, Sampler(lambda _token: False))
    made._thread = threading.current_thread()  # `add` starts no other
    made.hear = hear
    return made


def sequence(core: Any, number: int, prompt: list[int], limit: int, ends: list[int], guided: bool) -> Any:
    """A request whose text goes to the grader."""
    guide: Any = Guide() if guided else None
    out: Any = Out(number, core.hear)
    made: Any = OneText(list(prompt), limit, frozenset(ends), guide=guide, out=out)
    made.number = number
    return made


def sit(core: Any, sequence: Any, slot: int, computed: int) -> None:
    """Make a request run, in a slot that holds this many of its ids."""
    sequence.slot, sequence.num_computed = slot, computed
    core.scheduler.cache.put(slot, 0, sequence.token_ids[:computed])
    core.scheduler.running.append(sequence)

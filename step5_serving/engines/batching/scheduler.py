"""Decides what the next step computes: who joins, whose prompt is prefilled, and who gets a token.

    waiting   a queue: [g h]
    running   a, b decode; c has a long prompt, of which 512 tokens are computed
    a step    1. aborted sequences leave; the first in the queue take free slots
              2. the next tokens of c's prompt are computed, `chunk` at most, so that a and b don't wait long
              3. a and b get a token each; so does c once all but the last token of its prompt are computed:
                 the last one is computed in the decode step that all share

First come, first served: no sequence overtakes another, and the first in the queue waits until it fits. A
sequence's slot has room for its prompt and its longest output, so none is preempted (vLLM, which allocates
memory page by page, must `preempt` a sequence when it runs out).
"""

from collections import deque
from dataclasses import dataclass

from shared.embedded.decoding import PromptLookup
from step5_serving.config import Options
from step5_serving.engines.batching.kv_cache import FIRST, KVCache
from step5_serving.engines.batching.prefix_cache import BLOCK, PrefixCache
from step5_serving.engines.batching.sequence import Sequence

WIDTH = 16  # most tokens of one sequence in a decode step
CHEAP = 16  # tokens in a decode step that takes hardly longer than one with a single token


@dataclass(frozen=True)
class Span:
    """Tokens of one sequence for the next forward pass: `ids`, whose places begin at `start`.

    The last `proposed` of them are proposals of prompt lookup (shared/embedded/decoding.py).
    """

    sequence: Sequence
    start: int
    ids: list[int]
    proposed: int = 0

    @property
    def end(self) -> int:
        """The place after its last token."""
        return self.start + len(self.ids)

    @property
    def known(self) -> int:
        """How many of its tokens are the sequence's own."""
        return len(self.ids) - self.proposed

    @property
    def proposed_ids(self) -> list[int]:
        """Its proposals."""
        return self.ids[self.known :]


@dataclass(frozen=True)
class Batch:
    """What a step computes."""

    prefill: list[Span]
    decode: list[Span]


class Scheduler:
    """The waiting and the running sequences, and the slots of the running ones."""

    def __init__(self, options: Options, cache: KVCache, prefixes: PrefixCache) -> None:
        self.options = options
        self.cache = cache
        self.prefixes = prefixes
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []  # in the order of arrival

    def schedule(self) -> Batch:
        """What the next step computes.

        First, aborted sequences leave (`finish`) and others join (`admit`). Then the prompts are prefilled in
        the order of arrival: at most `options.chunk` tokens of all of them together, after the blocks that
        the prefix cache has of each (`reuse`). A sequence that has computed `num_prefill` tokens by then
        decodes the next ones that it has, up to WIDTH: one that the model chose, or several that its guide
        wrote. Proposals come after them (`speculate`).
        """
        ### BEGIN SOLUTION 5.8: The batcher's loop
        aborted = [sequence for sequence in self.running if sequence.aborted]
        for sequence in aborted:
            self.finish(sequence)
        self.admit()
        prefill: list[Span] = []
        decode: list[Span] = []
        left = self.options.chunk  # tokens of prompts that this step may still compute
        for sequence in self.running:
            if left and sequence.num_computed < sequence.num_prefill:
                self.reuse(sequence)
            start = sequence.num_computed
            end = min(start + left, sequence.num_prefill)
            ids = sequence.token_ids[start:end]
            if ids:
                prefill.append(Span(sequence, start, ids))
                start += len(ids)
                left -= len(ids)
            if start >= sequence.num_prefill:
                decode.append(Span(sequence, start, sequence.token_ids[start : start + WIDTH]))
        return Batch(prefill, self.speculate(decode))
        ### END SOLUTION

    def speculate(self, decode: list[Span]) -> list[Span]:
        """The spans with proposals added: the same share for each, as many as a step has room for.

        Sequences with a guide get none, and no proposal goes beyond `max_tokens`.
        """
        room = CHEAP - len(decode)
        share = min(self.options.lookup, room // max(1, len(decode)))
        spans: list[Span] = []
        for span in decode:
            sequence = span.sequence
            most = min(share, sequence.max_tokens - len(sequence.output) - 1)
            proposed: list[int] = []
            if most > 0 and not sequence.guide:
                sequence.lookup = sequence.lookup or PromptLookup()
                proposed = sequence.lookup.propose(sequence.token_ids, most)
            spans.append(Span(sequence, span.start, span.ids + proposed, len(proposed)))
        return spans

    def admit(self) -> None:
        """Move sequences from the queue to the running ones, in order, as long as there are slots."""
        for sequence in [*self.waiting]:  # a copy: other threads append to the queue meanwhile
            if sequence.aborted:
                self.waiting.remove(sequence)
        while self.waiting:
            try:
                if not self._allocate(self.waiting[0]):
                    break
            except Exception as error:  # no memory for a slot of that length
                self.waiting.popleft().out.put(error)
                raise
            self.running.append(self.waiting.popleft())
        self.compact()

    def reuse(self, sequence: Sequence) -> None:
        """Copy the next blocks of a prompt from the prefix cache, as far as it has them."""
        first = sequence.num_computed // BLOCK
        blocks = self.prefixes.match(sequence.block_hashes[first:])
        end = (first + len(blocks)) * BLOCK
        if end > sequence.num_computed:
            self.cache.write(sequence.slot, first * BLOCK, blocks)
            sequence.num_cached += end - sequence.num_computed
            sequence.num_computed = end

    def keep(self, sequence: Sequence, start: int) -> None:
        """Add the full blocks of a prompt that were computed since `start` to the prefix cache."""
        first = start // BLOCK
        last = min(sequence.num_computed, sequence.num_prefill) // BLOCK
        while first < last and sequence.block_hashes[first] in self.prefixes:
            first += 1
        if first < last:
            blocks = self.cache.read(sequence.slot, first * BLOCK, last * BLOCK)
            self.prefixes.add(sequence.block_hashes[first:last], blocks)

    def finish(self, sequence: Sequence) -> None:
        """Remove a sequence; its slot is free then."""
        self.running.remove(sequence)

    def clear(self) -> list[Sequence]:
        """Remove and return all running sequences.

        The caches are emptied, because a failed step may have left them half written.
        """
        gone = self.running
        self.running = []
        self.prefixes.clear()
        self.cache.clear()
        return gone

    def compact(self) -> None:
        """Move sequences from the last slots to free ones, as attention covers all up to the last in use."""
        n = len(self.running)
        used = {sequence.slot for sequence in self.running}
        free = set(range(n)) - used
        for sequence in self.running:
            if sequence.slot >= n:
                slot = free.pop()
                self.cache.move(sequence.slot, slot, sequence.num_computed)
                sequence.slot = slot

    def _allocate(self, sequence: Sequence) -> bool:
        """Give it a slot if there is room. For a long sequence there are fewer, longer slots."""
        longest = max(candidate.longest for candidate in [*self.running, sequence])
        power_of_two = 1 << (longest - 1).bit_length()  # the smallest that is long enough
        places = min(max(FIRST, power_of_two), self.cache.context)
        slots = min(self.options.rows, max(1, self.options.rows * self.options.places // places))
        if len(self.running) >= slots:
            return False
        if longest > self.cache.places or len(self.running) == self.cache.slots:
            self.compact()
            by_slot = sorted(self.running, key=lambda running: running.slot)
            self.cache.resize(slots, places, [running.num_computed for running in by_slot])
        used = {running.slot for running in self.running}
        sequence.slot = min(set(range(self.cache.slots)) - used)
        return True

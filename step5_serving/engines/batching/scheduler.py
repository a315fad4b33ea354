"""Decides what the next step computes: who joins, whose prompt is read on, and who gets a token.

    waiting   a queue, bounded: [g h]
    running   a, b decode; c has a long prompt, of which 512 tokens are computed
    a step    1. aborted sequences leave; the first of the queue take free slots
              2. c's prompt is read on, by `chunk` tokens at most, so that a and b need not wait for all of it
              3. a and b get a token each; so does c once all but the last token of its prompt are computed:
                 the last one is computed in the forward pass that all share

First come, first served: no sequence overtakes another, and the first of the queue waits until it fits. A
sequence gets a slot for its prompt and all that it may write, so nobody has to leave (vLLM, which hands out
memory page by page, must `preempt` a sequence when it runs out).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from step5_serving.config import Options
from step5_serving.engines.batching.kv_cache import FIRST, KVCache
from step5_serving.engines.batching.lookup import PromptLookup
from step5_serving.engines.batching.prefix_cache import BLOCK, PrefixCache
from step5_serving.engines.batching.sequence import Sequence

WIDTH = 16  # tokens of one sequence in a decode step at most
CHEAP = 16  # tokens in a decode step that takes hardly longer than one token does: it waits for the weights


@dataclass(frozen=True)
class Span:
    """Tokens of one sequence for the next forward pass: `ids` at the places `start` and after it.

    The last `proposed` of them are a guess (lookup.py).
    """

    sequence: Sequence
    start: int
    ids: list[int]
    proposed: int = 0

    @property
    def end(self) -> int:
        """The place after its last token."""
        return self.start + len(self.ids)


@dataclass(frozen=True)
class Batch:
    """What a step computes."""

    prefill: list[Span]
    decode: list[Span]


class Scheduler:
    """The waiting and the running sequences, and the slots of the running ones."""

    def __init__(self, options: Options, cache: KVCache, prefixes: PrefixCache) -> None:
        self.options, self.cache, self.prefixes = options, cache, prefixes
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []  # in the order of arrival

    def schedule(self) -> Batch:
        """What the next step computes.

        First aborted sequences leave (`finish`) and others join (`admit`). Then come the prompts, in the
        order of arrival: `options.chunk` tokens at most, of all of them together, after what the prefix cache
        has of each (`reuse`). Whoever has computed `num_prefill` tokens by then decodes the next ones that it
        has, up to WIDTH: one that it wrote itself, or several that its guide wrote. Proposals go behind them
        (`speculate`).
        """
        ### BEGIN SOLUTION 5.8: The batcher's loop
        for sequence in [each for each in self.running if each.aborted]:
            self.finish(sequence)
        self.admit()
        left, batch = self.options.chunk, Batch([], [])
        for sequence in self.running:
            if left and sequence.num_computed < sequence.num_prefill:
                self.reuse(sequence)
            start = sequence.num_computed
            ids = sequence.token_ids[start : min(start + left, sequence.num_prefill)]
            if ids:
                batch.prefill.append(Span(sequence, start, ids))
                start, left = start + len(ids), left - len(ids)
            if start >= sequence.num_prefill:
                batch.decode.append(Span(sequence, start, sequence.token_ids[start : start + WIDTH]))
        return Batch(batch.prefill, self.speculate(batch.decode))
        ### END SOLUTION

    def speculate(self, decode: list[Span]) -> list[Span]:
        """The spans with proposals behind them, as many as a step has room for, the same share for each.

        None where a guide chooses the tokens, and none beyond `max_tokens`.
        """
        share = min(self.options.lookup, (CHEAP - len(decode)) // max(1, len(decode)))
        spans = []
        for span in decode:
            sequence, proposed = span.sequence, list[int]()
            most = min(share, sequence.max_tokens - len(sequence.output) - 1)
            if most > 0 and not sequence.guide:
                sequence.lookup = sequence.lookup or PromptLookup(sequence.prompt)
                proposed = sequence.lookup.propose(sequence.token_ids, most)
            spans.append(Span(sequence, span.start, span.ids + proposed, len(proposed)))
        return spans

    def admit(self) -> None:
        """Let sequences of the queue run, the first one first, as long as there is a slot for it."""
        for sequence in [each for each in self.waiting if each.aborted]:
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
        """Copy what the prefix cache has of a prompt from where the sequence stands."""
        first = sequence.num_computed // BLOCK
        blocks = self.prefixes.match(sequence.block_hashes[first:])
        end = (first + len(blocks)) * BLOCK
        if end > sequence.num_computed:
            self.cache.write(sequence.slot, first * BLOCK, blocks)
            sequence.num_cached += end - sequence.num_computed
            sequence.num_computed = end

    def keep(self, sequence: Sequence, start: int) -> None:
        """Put the full blocks of a prompt that were computed from `start` on into the prefix cache."""
        first, last = start // BLOCK, min(sequence.num_computed, sequence.num_prefill) // BLOCK
        while first < last and sequence.block_hashes[first] in self.prefixes:
            first += 1
        if first < last:
            blocks = self.cache.read(sequence.slot, first * BLOCK, last * BLOCK)
            self.prefixes.add(sequence.block_hashes[first:last], blocks)

    def finish(self, sequence: Sequence) -> None:
        """A sequence leaves; its slot is free."""
        self.running.remove(sequence)

    def clear(self, waiting: bool) -> list[Sequence]:
        """Forget all that run, and all that wait, too, if so; who they were.

        The caches are emptied: what was half written is not to be trusted.
        """
        gone = [*self.running, *(self.waiting if waiting else ())]
        self.running.clear()
        if waiting:
            self.waiting.clear()
        self.prefixes.clear()
        self.cache.clear(self.options.rows)
        return gone

    def compact(self) -> None:
        """Move sequences out of the last slots into free ones: attention is for all slots up to the last."""
        n = len(self.running)
        free = {*range(n)} - {each.slot for each in self.running}
        for sequence in self.running:
            if sequence.slot >= n:
                slot = free.pop()
                self.cache.move(sequence.slot, slot, sequence.num_computed)
                sequence.slot = slot

    def _allocate(self, sequence: Sequence) -> bool:
        """Give it a slot, if there is one: slots grow for a long sequence, and shrink to become more."""
        longest = max(each.longest for each in [*self.running, sequence])
        places = min(max(FIRST, 1 << (longest - 1).bit_length()), self.cache.context)
        slots = min(self.options.rows, max(1, self.options.tokens // places))
        if len(self.running) >= slots:
            return False
        if longest > self.cache.places or len(self.running) == self.cache.slots:
            self.compact()
            by_slot = sorted(self.running, key=lambda each: each.slot)
            self.cache.resize(slots, places, [each.num_computed for each in by_slot])
        sequence.slot = min({*range(self.cache.slots)} - {each.slot for each in self.running})
        return True

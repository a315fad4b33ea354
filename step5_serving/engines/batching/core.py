"""The engine's core: the one thread that owns the model. Its loop repeats `step`.

    schedule   who joins, which tokens are computed            scheduler.py
    run        one forward pass for all                        model_runner.py
    sample     the next tokens of each sequence                sampler.py
    collect    hand them out; finished sequences leave

An error in a forward pass ends the running sequences, not the loop.

The thread ends when there is no work, and with it the OpenMP threads that torch keeps for it. Idle ones make
those of every other thread half as fast.
"""

import threading
from itertools import takewhile

import torch

from step5_serving.engines.batching.model_runner import ModelRunner
from step5_serving.engines.batching.sampler import Sampler
from step5_serving.engines.batching.scheduler import Batch, Scheduler
from step5_serving.engines.batching.sequence import End, Sequence


class EngineCore:
    """Takes sequences from any thread. Its own thread lives while there is work."""

    def __init__(self, scheduler: Scheduler, runner: ModelRunner, sampler: Sampler) -> None:
        self.scheduler = scheduler
        self._runner = runner
        self._sampler = sampler
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._threads = torch.get_num_threads()

    # --- from any thread ---

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence. How many may wait is the service's to say (api/admission.py)."""
        with self._lock:
            self.scheduler.waiting.append(sequence)
            if self._thread is None:
                # No daemon: the interpreter, which would abort with a thread inside torch, waits for its end.
                self._thread = threading.Thread(target=self._loop, name="batch")
                self._thread.start()

    # --- the loop's thread ---

    def step(self) -> None:
        """Schedule, run, sample, collect."""
        ### BEGIN SOLUTION 5.8: The batcher's loop
        batch = self.scheduler.schedule()
        logits = self._runner.run(batch)
        tokens = [] if logits is None else self._sampler.sample(batch.decode, logits)
        self.collect(batch, tokens)
        ### END SOLUTION

    def collect(self, batch: Batch, tokens: list[list[int] | Exception]) -> None:
        """Record what was computed, hand out new tokens, and remove finished sequences.

        `tokens`: for each span of batch.decode its new tokens (none while its sequence has more to compute),
        or an error, which ends its sequence. A text ends with a token of `ends`, which is not handed out,
        when its guide is finished, or after `max_tokens`.
        """
        ### BEGIN SOLUTION 5.8: The batcher's loop
        for span in batch.prefill:
            span.sequence.num_computed = span.end
            self.scheduler.keep(span.sequence, span.start)
        for span, new in zip(batch.decode, tokens, strict=True):
            sequence = span.sequence
            if isinstance(new, Exception):
                sequence.out.put(new)
                self.scheduler.finish(sequence)
            elif span.end >= len(sequence.token_ids):
                self._append(sequence, new)
            sequence.num_computed = min(span.end, len(sequence.token_ids) - 1)
        ### END SOLUTION

    def _append(self, sequence: Sequence, new: list[int]) -> None:
        """Hand out new tokens, and remove the sequence if they are its last."""
        new = new[: sequence.max_tokens - len(sequence.output)]
        text = list(takewhile(lambda token: token not in sequence.ends, new))
        ended = not new or len(text) < len(new) or bool(sequence.guide and sequence.guide.finished)
        if text:
            sequence.append(text)
        if ended or len(sequence.output) >= sequence.max_tokens:
            sequence.out.put(End(ended))
            self.scheduler.finish(sequence)

    def _loop(self) -> None:
        torch.set_num_threads(self._threads)  # a new thread has whatever number was set last
        with torch.inference_mode():
            while self._has_work():
                try:
                    self.step()
                except Exception as error:  # a bug or no memory: ends what runs now, not what comes later
                    for sequence in self.scheduler.clear():
                        sequence.out.put(error)

    def _has_work(self) -> bool:
        """Whether there is work; if not, this thread ends, and the next sequence starts a new one."""
        with self._lock:
            work = bool(self.scheduler.waiting or self.scheduler.running)
            if not work:
                self._thread = None
            return work

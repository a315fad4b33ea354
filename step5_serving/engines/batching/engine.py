"""The batcher as an engine of the embedded backend (shared/embedded/engine.py): the same texts, many at once.

    >>> engine = BatchEngine.load(load_settings())
    >>> backend = Backend(settings, engine=engine)        # from here on everything is as with the others
    >>> "".join(engine.generate(engine.encode("The capital of France is"), 5))
    ' Paris.\\n\\nThe'

`generate` may be called from as many threads as you like. The text is that of shared's TransformersEngine:
the same penalty, stop strings, schemas and circles. What a step gives to a row waits until somebody asks for
the next piece; a row doesn't wait for its reader, and goes on until its limit, or until it is closed.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch

from shared import models
from shared.config import Settings
from shared.embedded.engine import Generation, StopStrings, room
from shared.embedded.guide import Guide, Guides, circles
from shared.embedded.on_transformers import Letters, _is_word
from shared.errors import explain_load_errors
from shared.models import device
from shared.models import weights as files
from step5_serving.engines.batching.choose import Chooser
from step5_serving.engines.batching.linear import int8
from step5_serving.engines.batching.llama import Llama
from step5_serving.engines.batching.request import GREEDY, End, Request, Sampling
from step5_serving.engines.batching.scheduler import Limits, Scheduler
from step5_serving.engines.batching.seats import Seats
from step5_serving.engines.batching.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ROWS = 16
PLACES = 2048  # of the cache for each row: 47 MB a row for SmolLM2-135M in bfloat16, once they are used


class BatchEngine:
    """A Llama, up to `rows` sequences at a time."""

    name = "torch"
    calls_tools = False

    def __init__(
        self,
        llama: Llama,
        tokenizer: PreTrainedTokenizerFast,
        limits: Limits | None = None,
    ) -> None:
        self.tokenizer, self._llama, self.context = tokenizer, llama, llama.context
        self.ends = llama.ends | {*tokenizer.all_special_ids}  # markers of turns are never a part of a text
        self._limits = limits or Limits(ROWS, ROWS * PLACES)
        is_word = cache(partial(_is_word, tokenizer))
        neutral = next(token for token in range(llama.vocabulary) if not is_word(token))
        seats = Seats(llama, self._limits.rows)
        self.scheduler = Scheduler(seats, Chooser(self._limits.rows, is_word, neutral), self._limits)
        self._guides = Guides(tokenizer, llama.vocabulary, self.ends)
        atexit.register(self.close)  # a thread that is inside torch when the interpreter goes would abort it

    @classmethod
    def load(cls, settings: Settings, rows: int = ROWS, quantize: str | None = None) -> BatchEngine:
        """The model of the settings, on the processor. `quantize`: int8, or not.

        In the number format in which prompts are read fastest, where none is named: with several rows,
        reading and writing both wait for the arithmetic.

        Raises:
            UserError: it can't be had, is damaged, or is no Llama.
        """
        settings = device.settings_for_batch(settings.model_copy(update={"device": "cpu"}))
        threads = device.use_threads(settings)
        torch.set_num_threads(1)  # copying weights waits for memory, and beside it others are loading
        try:
            with ThreadPoolExecutor(1) as beside:
                tokenizer = beside.submit(models.load_tokenizer, settings=settings)
                with explain_load_errors(settings.model, files.ensure(settings.model, settings)):
                    llama = Llama(Weights.read(settings), int8 if quantize == "int8" else None)
        finally:
            torch.set_num_threads(threads)
        return cls(llama, tokenizer.result(), Limits(rows, rows * PLACES))

    def encode(self, text: str) -> list[int]:
        """Ids without added ones; markers in the text are parsed."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def generate(
        self,
        prompt: list[int],
        max_tokens: int,
        *,
        stop: Sequence[str] = (),
        schema: dict[str, Any] | None = None,
        adapter: bool = False,  # noqa: ARG002 (nobody asks for it: `calls_tools` is false)
        sampling: Sampling = GREEDY,
    ) -> Generation:
        """See `Engine.generate`. The request is queued when its first piece is asked for.

        Raises:
            Refused: too many requests wait already; when the first piece is asked for.
        """
        guide = self._guides.of(schema) if schema is not None else None
        space = room(prompt, self.context)
        return Generation(
            partial(self._run, list(prompt), max_tokens, space, StopStrings(stop), guide, sampling)
        )

    def close(self) -> None:
        """End the thread; texts that are being written end with an error."""
        atexit.unregister(self.close)
        self.scheduler.close()

    def _run(
        self,
        prompt: list[int],
        max_tokens: int,
        space: int,
        stops: StopStrings,
        guide: Guide | None,
        sampling: Sampling,
        done: Generation,
    ) -> Iterator[str]:
        limit = min(max_tokens, space)
        letters, written = Letters(self.tokenizer), list[int]()
        request = Request(prompt, limit, self.ends, sampling, guide, guide.forced() if guide else [])
        if len(request.written) < limit:
            self.scheduler.submit(request)
        else:
            request.out.put(End())
        try:
            while not isinstance(new := request.out.get(), End):
                if isinstance(new, BaseException):
                    raise new
                done.cached_tokens = request.cached
                for token in new[: limit - done.output_tokens]:
                    done.output_tokens += 1
                    if piece := stops.add(letters.add(token)):
                        yield piece
                    if stops.found:
                        done.stop_reason, done.stop_sequence = "stop_sequence", stops.found
                        return
                written += new
                if not guide and circles(written):
                    break
            else:
                if not new.finished:
                    full = space < max_tokens
                    done.stop_reason = "model_context_window_exceeded" if full else "max_tokens"
            if piece := stops.add(letters.rest()) + stops.rest():
                yield piece
        finally:
            request.cancelled = True

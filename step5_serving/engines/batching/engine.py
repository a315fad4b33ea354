"""The batcher as an engine of the embedded backend (shared/embedded/engine.py): the same texts, many at once.

    >>> engine = BatchEngine.load(load_settings())
    >>> backend = Backend(settings, engine=engine)
    >>> "".join(engine.generate(engine.encode("The capital of France is"), 5))
    ' Paris.\\n\\nThe'

`generate` may be called from any number of threads. The text is that of shared's TransformersEngine: the same
penalty, schemas and check for loops. A sequence doesn't wait for its reader: new tokens are queued, and it
goes on until its limit, or until it is closed.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import torch
from tokenizers.decoders import DecodeStream

from shared import models
from shared.config import Settings
from shared.embedded.decoding import end_tokens, is_repeating, word_test
from shared.embedded.engine import Engine, Generation
from shared.embedded.guide import Guide
from shared.embedded.wire import Refused, Schema
from shared.errors import explain_load_errors
from shared.models import device
from shared.models import weights as files
from step5_serving.config import Options
from step5_serving.engines.batching.core import EngineCore
from step5_serving.engines.batching.kv_cache import KVCache
from step5_serving.engines.batching.linear import int8
from step5_serving.engines.batching.llama import Llama
from step5_serving.engines.batching.model_runner import ModelRunner
from step5_serving.engines.batching.prefix_cache import BLOCK, PrefixCache
from step5_serving.engines.batching.sampler import Sampler
from step5_serving.engines.batching.scheduler import Scheduler
from step5_serving.engines.batching.sequence import End, Sequence
from step5_serving.engines.batching.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PREFIX_TOKENS = 8192  # size of the prefix cache: up to 189 MB for SmolLM2-135M in bfloat16

DEFAULTS = Options()


class BatchEngine(Engine):
    """A Llama, up to `options.rows` sequences at a time."""

    def __init__(self, llama: Llama, tokenizer: PreTrainedTokenizerFast, options: Options = DEFAULTS) -> None:
        self.tokenizer = tokenizer
        self.context = llama.context
        self.ends = end_tokens(llama.ends, tokenizer)
        kv_cache = KVCache(llama)
        prefixes = PrefixCache(PREFIX_TOKENS // BLOCK if options.prefix_cache else 0)
        scheduler = Scheduler(options, kv_cache, prefixes)
        sampler = Sampler(word_test(tokenizer))
        self.core = EngineCore(scheduler, ModelRunner(llama, kv_cache), sampler)
        self._guide = partial(Guide, tokenizer, llama.vocabulary, self.ends)

    @classmethod
    def load(cls, settings: Settings, options: Options = DEFAULTS) -> BatchEngine:
        """The model of the settings, on the processor.

        Where the settings name no number format, it is the one with the fastest prefill: with several
        sequences, decode is bound by arithmetic, too.

        Raises:
            UserError: it can't be had, is damaged, or is not a Llama.
        """
        settings = device.settings_for_batch(settings.model_copy(update={"device": "cpu"}))
        threads = device.use_threads(settings)
        torch.set_num_threads(1)  # copying is bound by memory, and another thread loads the tokenizer
        try:
            with ThreadPoolExecutor(1) as pool:
                tokenizer = pool.submit(models.load_tokenizer, settings=settings)
                with explain_load_errors(settings.model, files.ensure(settings.model, settings)):
                    llama = Llama(Weights.read(settings), int8 if options.quantize == "int8" else None)
        finally:
            torch.set_num_threads(threads)
        return cls(llama, tokenizer.result(), options)

    def generate(
        self, prompt: list[int], max_tokens: int, *, schema: Schema | None = None, adapter: bool = False
    ) -> Generation:
        """See `Engine.generate`. The request is queued when its first piece is asked for.

        Raises:
            Refused: tools.
        """
        if adapter:
            raise Refused("engine torch takes no tools: it has no adapter for them; ask Claude")
        guide = self._guide(schema) if schema is not None else None
        space = self.context - len(prompt)
        forced = guide.forced() if guide else []
        sequence = Sequence(list(prompt), min(max_tokens, space), self.ends, guide, forced)
        return Generation(partial(self._text, sequence, space < max_tokens))

    def _text(self, sequence: Sequence, context_ends_it: bool, done: Generation) -> Generator[str]:
        """A sequence's text, piece by piece, until it ends or repeats itself; `done` gets the reason."""
        stream = DecodeStream(skip_special_tokens=True)
        written: list[int] = []
        if len(sequence.output) < sequence.max_tokens:
            self.core.add(sequence)
        else:
            sequence.out.put(End())
        try:
            while True:
                new = sequence.out.get()
                if isinstance(new, BaseException):
                    raise new
                if isinstance(new, End):
                    break
                done.cached_tokens = sequence.num_cached
                for token in new[: sequence.max_tokens - len(written)]:
                    written.append(token)
                    done.output_tokens += 1
                    piece = stream.step(self.tokenizer.backend_tokenizer, token)
                    if piece:  # None after half a letter
                        yield piece
                    if not sequence.guide and is_repeating(written):
                        return
            if not new.finished:
                done.stop_reason = "model_context_window_exceeded" if context_ends_it else "max_tokens"
        finally:
            sequence.aborted = True

"""SmolLM2 by transformers: greedy decoding by hand, with the KV cache of the call before.

    >>> engine = TransformersEngine.load(load_settings())
    >>> "".join(engine.generate(engine.encode("The capital of France is"), 5))
    ' Paris.\\n\\nThe'

    prompt            [a b c d e f]       the call before read [a b c d x]
    cached            [a b c d]           taken over; at least one token is always computed
    prefill           [e f]               one forward
    decode            g, h, i ...         one forward each; tokens that a schema forces ride along in it

Two calls that overlap never share a cache: the first takes the kept one, the other starts with an empty
one, and the last to end leaves its own. A lock around each forward lets their tokens take turns.

In bf16, logits depend a little on how many tokens a forward reads; where two tokens are as good as equal,
the answer may thus depend on what was cached. In float32 it was never seen to.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers.decoders import DecodeStream

from shared import models
from shared.catalog import lookup
from shared.config import Settings
from shared.embedded.adapter import TOOLS, Adapter
from shared.embedded.engine import Engine, Generation
from shared.embedded.guide import Guide, Guides, circles

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerFast

# Greedy, a 135M model falls into saying the same thing again and again: 6 of 17 answers of 300 tokens did.
# A mild repetition penalty (Keskar et al. 2019, arXiv:1909.05858) on the words it wrote last keeps it from
# most of that, and an answer that goes round in a circle all the same ends there. The penalty spares what
# has no letters: numbers, punctuation and white space come again in any text. In JSON it looks at the
# string that is being written only: names and values come again by right.
PENALTY, WINDOW = 1.1, 128


@dataclass
class Past:
    """A KV cache and the ids it holds (none once it can't be trusted), read with the adapter or without."""

    cache: DynamicCache
    ids: list[int] = field(default_factory=list)
    adapter: bool = False


class TransformersEngine(Engine):
    """Any causal model of transformers, one sequence at a time."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        tools: Path | None = None,
        base: str | None = None,
    ) -> None:
        """`tools` is the folder of the adapter that calls tools; without one, the bare model does.

        `base` is the model's name on the hub, where it has one.
        """
        self.model, self.tokenizer = model, tokenizer
        self._tools, self._base = tools, base
        self._adapter: Adapter | None = None
        self.context = int(getattr(model.config, "max_position_embeddings", 1 << 30))
        self.ends = _end_tokens(model, tokenizer)
        self._is_word = cache(partial(is_word, tokenizer))
        self._guides = Guides(tokenizer, model.config.get_text_config().vocab_size, self.ends)
        self._lock = threading.Lock()
        self._kept: dict[bool, Past] = {}  # with and without the adapter

    @classmethod
    def load(cls, settings: Settings) -> TransformersEngine:
        """The model of the settings, on their device.

        Raises:
            UserError: it can't be had or is damaged.
        """
        model, tokenizer = models.load_causal_lm(settings=settings), models.load_tokenizer(settings=settings)
        spec = lookup(settings.model)
        if spec.random:  # for tests: its calls fit the grammar and mean nothing
            return cls(model, tokenizer)
        return cls(model, tokenizer, settings.tools_adapter or TOOLS, spec.hub.repo if spec.hub else None)

    def generate(
        self,
        prompt: list[int],
        max_tokens: int,
        *,
        schema: dict[str, Any] | None = None,
        adapter: bool = False,
    ) -> Generation:
        """See `Engine.generate`. The work is done piece by piece, by whoever asks for the next one."""
        guide = self._guides.of(schema) if schema is not None else None
        space = self.context - len(prompt)
        if adapter and self._tools:
            with self._lock:
                self._adapter = self._adapter or Adapter.load(self._tools, self.model, self._base)
        return Generation(partial(self._run, list(prompt), max_tokens, space, guide, adapter))

    def _run(
        self,
        prompt: list[int],
        max_tokens: int,
        space: int,
        guide: Guide | None,
        adapter: bool,
        done: Generation,
    ) -> Generator[str]:
        past = self._claim(prompt, adapter)
        done.cached_tokens = len(past.ids)
        limit = min(max_tokens, space)
        text, written = DecodeStream(skip_special_tokens=True), list[int]()
        unread = prompt[len(past.ids) :]  # ids for the next forward
        new = guide.forced() if guide else []
        try:
            while True:
                for token in new[: limit - done.output_tokens]:
                    done.output_tokens += 1
                    if piece := text.step(
                        self.tokenizer.backend_tokenizer, token
                    ):  # None: a letter is incomplete
                        yield piece
                written += new
                unread += new
                if len(written) <= limit and (guide.finished if guide else circles(written)):
                    break
                if done.output_tokens == limit:
                    full = space < max_tokens
                    done.stop_reason = "model_context_window_exceeded" if full else "max_tokens"
                    break
                logits, unread = self._forward(unread, past), []
                if not adapter:
                    self._penalise(logits, guide.string if guide else written[-WINDOW:])
                new = guide.choose(logits, limit - len(written)) if guide else [int(logits.argmax())]
                if not new or new[0] in self.ends:
                    break
        finally:
            with self._lock:
                self._kept[past.adapter] = past

    def _claim(self, prompt: list[int], adapter: bool) -> Past:
        """A cache that holds a beginning of the prompt, and not all of it: the kept one, or an empty one."""
        from transformers import DynamicCache

        with self._lock:
            past = self._kept.pop(adapter, None)
        if past and (same := common(past.ids, prompt[:-1])):
            surplus = len(past.ids) - same
            if not surplus or _croppable(past.cache):
                past.cache.crop(-surplus)  # a view: nothing is copied
                del past.ids[same:]
                return past
        return Past(DynamicCache(config=self.model.config), adapter=adapter)

    def _forward(self, ids: list[int], past: Past) -> torch.Tensor:
        """Read `ids` behind the cache; the logits for the next token, shape (vocabulary,)."""
        import torch

        known, past.ids = past.ids, []  # should it break off in the middle, the layers differ in length
        adapted = self._adapter.on(past.adapter) if self._adapter else nullcontext()
        with self._lock, torch.inference_mode(), adapted:
            row = torch.tensor([ids], device=self.model.device)  # (1, T)
            logits = self.model(input_ids=row, cache=past.cache, use_cache=True, logits_to_keep=1).logits
        past.ids = known + ids
        last: torch.Tensor = logits[0, -1].to(torch.float32, copy=True)
        return last

    def _penalise(self, logits: torch.Tensor, lately: list[int]) -> None:
        """Make words that came lately less probable, in place."""
        import torch

        words = [token for token in set(lately) if self._is_word(token)]
        scores = logits[words]
        logits[words] = torch.where(scores > 0, scores / PENALTY, scores * PENALTY)


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids the two start with alike."""
    n = min(len(first), len(second))
    return next((i for i in range(n) if first[i] != second[i]), n)


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Ids that end an answer: the model's own, and every marker of turns, which is never a part of a text."""
    eos: int | list[int] | None = model.generation_config.eos_token_id if model.generation_config else None
    own = [eos] if isinstance(eos, int) else eos or []
    return frozenset([*own, *tokenizer.all_special_ids])


def is_word(tokenizer: PreTrainedTokenizerFast, token: int) -> bool:
    """Whether there is a letter in it, or a part of one."""
    text = str(tokenizer.decode([token]))
    return any(letter.isalpha() or letter == "\N{REPLACEMENT CHARACTER}" for letter in text)


def _croppable(cache: DynamicCache) -> bool:
    """Whether its newest tokens can be taken off: not from a sliding window or a linear attention."""
    return all(
        getattr(layer, "is_croppable", False) and not getattr(layer, "is_sliding", False)
        for layer in cache.layers
    )

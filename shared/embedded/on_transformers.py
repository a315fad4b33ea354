"""SmolLM2 with transformers: greedy decoding by hand, which reuses the previous call's KV cache.

    >>> engine = TransformersEngine.load(load_settings())
    >>> "".join(engine.generate(engine.encode("The capital of France is"), 5))
    ' Paris.\\n\\nThe'

    prompt            [a b c d e f]       the previous call read [a b c d x]
    cached            [a b c d]           reused; at least one token is always computed
    prefill           [e f]               one forward pass
    decode            g, h, i ...         one forward pass each; it also reads tokens that a schema forced

An answer to a tool's result repeats much of it. So with the adapter on, a pass also reads a guess: what
followed the last two tokens the last time. Of that it keeps what the model would have written itself
(prompt lookup, chapter 12 of step 5).

Calls that overlap never share a cache: the first takes the stored one, the others start with an empty one,
and the last to finish stores its own. A lock around each forward pass lets them take turns.

In bfloat16, logits depend slightly on how many tokens a forward pass reads. Where two tokens are almost
equally probable, the answer can therefore depend on what was cached. In float32 we never saw this.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers.decoders import DecodeStream

from shared import models
from shared.catalog import lookup
from shared.config import Settings
from shared.embedded.adapter import TOOLS, Adapter
from shared.embedded.engine import Engine, Generation, Schema
from shared.embedded.guide import Guide, is_repeating

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerFast

# With greedy decoding, a 135M model often repeats itself: 6 of 17 answers of 300 tokens did. A mild
# repetition penalty (Keskar et al. 2019, arXiv:1909.05858) on the last words prevents most of that, and an
# answer that still repeats itself ends there. Only tokens with letters are penalized: numbers, punctuation
# and white space recur in any text. In JSON, only the current string counts: names and values may recur.
PENALTY, WINDOW = 1.1, 128
GUESSES = 8  # tokens; a pass over nine takes little longer than over one, as it reads the same weights


@dataclass
class CachedPrefix:
    """A KV cache, its ids (empty if a forward pass was interrupted), and whether the adapter was on."""

    cache: DynamicCache
    ids: list[int] = field(default_factory=list)
    adapter: bool = False

    def crop(self, surplus: int) -> None:
        """Forget the last ids. Nothing is copied."""
        if surplus:
            self.cache.crop(-surplus)
            del self.ids[-surplus:]


class TransformersEngine(Engine):
    """Any causal model of transformers, one sequence at a time."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        tools: Path | None = None,
        base: str | None = None,
    ) -> None:
        """`tools` is the folder of the tool-calling adapter; without one, the base model writes the calls.

        `base` is the model's name on the hub, if it has one.
        """
        self.model, self.tokenizer = model, tokenizer
        self._tools, self._base = tools, base
        self._adapter: Adapter | None = None
        self.context = int(getattr(model.config, "max_position_embeddings", 1 << 30))
        self.ends = _end_tokens(model, tokenizer)
        self._is_word = cache(partial(is_word, tokenizer))
        self._guide = partial(Guide, tokenizer, model.config.get_text_config().vocab_size, self.ends)
        self._lock = threading.Lock()
        self._stored: dict[bool, CachedPrefix] = {}  # with and without the adapter

    @classmethod
    def load(cls, settings: Settings) -> TransformersEngine:
        """The model of the settings, on their device.

        Raises:
            UserError: it is not available, or is damaged.
        """
        model, tokenizer = models.load_causal_lm(settings=settings), models.load_tokenizer(settings=settings)
        spec = lookup(settings.model)
        if spec.random:  # for tests: no adapter fits it, and its calls are valid nonsense
            return cls(model, tokenizer)
        return cls(model, tokenizer, settings.tools_adapter or TOOLS, spec.hub.repo if spec.hub else None)

    def generate(
        self, prompt: list[int], max_tokens: int, *, schema: Schema | None = None, adapter: bool = False
    ) -> Generation:
        """See `Engine.generate`. Each piece is computed when it is asked for, in the caller's thread."""
        guide = self._guide(schema) if schema is not None else None
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
        prefix = self._take_prefix(prompt, adapter)
        done.cached_tokens = len(prefix.ids)
        limit = min(max_tokens, space)
        text, written = DecodeStream(skip_special_tokens=True), list[int]()
        unread = prompt[len(prefix.ids) :]  # ids for the next forward pass
        may_guess = adapter and guide is None and _can_crop(prefix.cache)
        guessed: list[int] = []  # ids that were read as a guess
        rows: list[torch.Tensor] = []  # the logits after the last id that was no guess, and after each guess
        new = guide.forced() if guide else []
        try:
            while True:
                for token in new[: limit - done.output_tokens]:
                    done.output_tokens += 1
                    if piece := text.step(self.tokenizer.backend_tokenizer, token):  # None: half a letter
                        yield piece
                written += new
                unread += new
                if len(written) <= limit and (guide.finished if guide else is_repeating(written)):
                    break
                if done.output_tokens == limit:
                    context_is_full = space < max_tokens
                    done.stop_reason = "model_context_window_exceeded" if context_is_full else "max_tokens"
                    break
                if unread == guessed[:1]:
                    del guessed[0]
                else:
                    prefix.crop(len(guessed))
                    guessed = guess(prompt + written, space - len(written)) if may_guess else []
                    rows = self._forward(unread, guessed, prefix)
                logits, unread = rows.pop(0), []
                if not adapter:
                    self._penalise(logits, guide.string if guide else written[-WINDOW:])
                new = guide.choose(logits, limit - len(written)) if guide else [int(logits.argmax())]
                if not new or new[0] in self.ends:
                    break
        finally:
            with self._lock:
                self._stored[prefix.adapter] = prefix

    def _take_prefix(self, prompt: list[int], adapter: bool) -> CachedPrefix:
        """The stored cache, cropped to what it shares with the prompt (never all of it), or an empty one."""
        from transformers import DynamicCache

        with self._lock:
            prefix = self._stored.pop(adapter, None)
        if prefix and (shared := common_prefix_length(prefix.ids, prompt[:-1])):
            surplus = len(prefix.ids) - shared
            if not surplus or _can_crop(prefix.cache):
                prefix.crop(surplus)
                return prefix
        return CachedPrefix(DynamicCache(config=self.model.config), adapter=adapter)

    def _forward(self, ids: list[int], guessed: list[int], prefix: CachedPrefix) -> list[torch.Tensor]:
        """Read both. Returns the logits for the next token, (vocabulary,), after `ids` and each guess."""
        import torch

        cached, prefix.ids = prefix.ids, []  # if the pass is interrupted, the layers' caches differ in length
        adapted = self._adapter.on(prefix.adapter) if self._adapter else nullcontext()
        with self._lock, torch.inference_mode(), adapted:
            row = torch.tensor([ids + guessed], device=self.model.device)  # (1, T)
            keep = 1 + len(guessed)
            logits = self.model(input_ids=row, cache=prefix.cache, use_cache=True, logits_to_keep=keep).logits
        prefix.ids = cached + ids + guessed
        return list(logits[0].to(torch.float32, copy=True))

    def _penalise(self, logits: torch.Tensor, recent: list[int]) -> None:
        """Make words among the `recent` ids less probable, in place."""
        import torch

        words = [token for token in set(recent) if self._is_word(token)]
        scores = logits[words]
        logits[words] = torch.where(scores > 0, scores / PENALTY, scores * PENALTY)


def guess(ids: list[int], most: int) -> list[int]:
    """Up to `GUESSES` ids that may come next: those that followed the last two ids the last time."""
    for end in range(len(ids) - 1, 1, -1):
        if ids[end - 2 : end] == ids[-2:]:
            return ids[end : end + min(GUESSES, most)]
    return []


def common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids at the start of both are the same."""
    n = min(len(first), len(second))
    return next((i for i in range(n) if first[i] != second[i]), n)


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Ids that end an answer: the model's own, and all special tokens, which are never part of a text."""
    eos: int | list[int] | None = model.generation_config.eos_token_id if model.generation_config else None
    own = [eos] if isinstance(eos, int) else eos or []
    return frozenset([*own, *tokenizer.all_special_ids])


def is_word(tokenizer: PreTrainedTokenizerFast, token: int) -> bool:
    """Whether the token contains a letter, or part of one."""
    text = str(tokenizer.decode([token]))
    return any(letter.isalpha() or letter == "\N{REPLACEMENT CHARACTER}" for letter in text)


def _can_crop(cache: DynamicCache) -> bool:
    """Whether its last tokens can be removed: not with sliding-window or linear attention."""
    return all(
        getattr(layer, "is_croppable", False) and not getattr(layer, "is_sliding", False)
        for layer in cache.layers
    )

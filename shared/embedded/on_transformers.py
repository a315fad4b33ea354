"""SmolLM2 with transformers: decoding by hand, which reuses the previous call's KV cache.

    >>> engine = TransformersEngine.load(load_settings())
    >>> "".join(engine.generate(engine.encode("The capital of France is"), 5))
    ' Paris.\\n\\nThe'

    prompt            [a b c d e f]       the previous call read [a b c d x]
    cached            [a b c d]           reused; at least one token is always computed
    prefill           [e f]               one forward pass
    decode            g, h, i ...         one forward pass each; it also reads tokens that a schema forced

An answer to a tool's result repeats much of it. So with the adapter on, a pass also reads proposals of prompt
lookup (decoding.py).

Calls that overlap never share a cache: the first takes the stored one, the others start with an empty one,
and the last to finish stores its own. A lock around each forward pass lets them take turns.

In bfloat16, logits depend slightly on how many tokens a forward pass reads. Where two tokens are almost
equally probable, the answer can therefore depend on what was cached. In float32 we never saw this.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tokenizers.decoders import DecodeStream
from torch import Tensor
from transformers import DynamicCache

from shared import models
from shared.catalog import lookup
from shared.config import Settings
from shared.embedded.adapter import TOOLS, Adapter
from shared.embedded.decoding import (
    WINDOW,
    PromptLookup,
    accept,
    end_tokens,
    is_repeating,
    penalize,
    word_test,
)
from shared.embedded.engine import Engine, Generation
from shared.embedded.guide import Guide
from shared.embedded.wire import Schema

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PROPOSALS = 8  # tokens; a pass over nine takes little longer than over one, as it reads the same weights


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

    @property
    def can_crop(self) -> bool:
        """Whether the last ids can be forgotten: not with sliding-window or linear attention."""
        for layer in self.cache.layers:
            if not getattr(layer, "is_croppable", False) or getattr(layer, "is_sliding", False):
                return False
        return True


@dataclass
class Sampling:
    """How tokens are drawn instead of chosen: at a temperature, from a seeded generator."""

    temperature: float
    generator: torch.Generator

    def perturb(self, logits: Tensor) -> Tensor:
        """Logits whose argmax is a draw from softmax(logits / temperature), by the Gumbel trick.

        logits: (tokens, vocabulary). Source: Maddison et al. 2014, arXiv:1411.0030
        """
        uniform = torch.rand(logits.shape, generator=self.generator).clamp_min(1e-20)
        return logits / self.temperature - (-uniform.log()).log()


@dataclass
class Text:
    """A text while it is written."""

    prompt: list[int]
    max_tokens: int
    context: int  # of the model: tokens, prompt and text together
    guide: Guide | None  # holds it to a JSON schema
    adapter: bool
    written: list[int] = field(default_factory=list)  # ids
    ended: bool = False
    stream: DecodeStream = field(default_factory=partial(DecodeStream, skip_special_tokens=True))
    lookup: PromptLookup = field(default_factory=PromptLookup)

    @property
    def limit(self) -> int:
        """The most tokens that it may have."""
        return min(self.max_tokens, self.context - len(self.prompt))

    def propose(self) -> list[int]:
        """Ids that may come next."""
        room = self.context - len(self.prompt) - len(self.written)
        return self.lookup.propose(self.prompt + self.written, min(PROPOSALS, room))

    def recent(self) -> list[int]:
        """The ids that are penalized; in JSON, those of the string that is being written."""
        return self.guide.string if self.guide else self.written[-WINDOW:]


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
        self.model = model
        self.tokenizer = tokenizer
        self._tools = tools
        self._base = base
        self._adapter: Adapter | None = None
        self.context = int(getattr(model.config, "max_position_embeddings", 1 << 30))
        eos = model.generation_config.eos_token_id if model.generation_config else None
        self.ends = end_tokens(eos, tokenizer)
        self._is_word = word_test(tokenizer)
        self._guide = partial(Guide, tokenizer, model.config.get_text_config().vocab_size, self.ends)
        self._lock = threading.Lock()
        self._stored: dict[bool, CachedPrefix] = {}  # with and without the adapter
        self._sampling: Sampling | None = None

    @classmethod
    def load(cls, settings: Settings) -> TransformersEngine:
        """The model of the settings, on their device.

        Raises:
            UserError: it is not available, or is damaged.
        """
        model = models.load_causal_lm(settings=settings)
        tokenizer = models.load_tokenizer(settings=settings)
        spec = lookup(settings.model)
        if spec.random:  # for tests: no adapter fits it, and its calls are valid nonsense
            return cls(model, tokenizer)
        return cls(model, tokenizer, settings.tools_adapter or TOOLS, spec.hub.repo if spec.hub else None)

    @contextmanager
    def sampling(self, temperature: float, seed: int) -> Iterator[None]:
        """Draw the tokens inside the `with` block at a temperature above 0; the same seed draws the same."""
        self._sampling = Sampling(temperature, torch.Generator().manual_seed(seed))
        try:
            yield
        finally:
            self._sampling = None

    def generate(
        self, prompt: list[int], max_tokens: int, *, schema: Schema | None = None, adapter: bool = False
    ) -> Generation:
        """See `Engine.generate`. Each piece is computed when it is asked for, in the caller's thread."""
        guide = self._guide(schema) if schema is not None else None
        if adapter and self._tools:
            with self._lock:
                self._adapter = self._adapter or Adapter.load(self._tools, self.model, self._base)
        text = Text(list(prompt), max_tokens, self.context, guide, adapter)
        return Generation(partial(self._write, text))

    def _write(self, text: Text, done: Generation) -> Generator[str]:
        """Write the text: propose, read, choose, hand out, until it ends."""
        prefix = self._take_prefix(text.prompt, text.adapter)
        done.cached_tokens = len(prefix.ids)
        may_propose = text.adapter and text.guide is None and prefix.can_crop
        unread = text.prompt[len(prefix.ids) :]  # ids for the next forward pass
        new = text.guide.forced() if text.guide else []
        try:
            yield from self._hand_out(new, text, done)
            unread += new
            while not text.ended:
                proposed = text.propose() if may_propose else []
                logits = self._forward(unread, proposed, prefix)  # (1 + proposed, vocabulary)
                new = self._choose(logits, proposed, text)
                accepted = len(new) - 1 if proposed else 0
                prefix.crop(len(proposed) - accepted)
                unread = new[accepted:]
                yield from self._hand_out(new, text, done)
        finally:
            with self._lock:
                self._stored[prefix.adapter] = prefix

    def _take_prefix(self, prompt: list[int], adapter: bool) -> CachedPrefix:
        """The stored cache, cropped to what it shares with the prompt (never all of it), or an empty one."""
        with self._lock:
            prefix = self._stored.pop(adapter, None)
        if prefix:
            shared = common_prefix_length(prefix.ids, prompt[:-1])
            surplus = len(prefix.ids) - shared
            if shared and (not surplus or prefix.can_crop):
                prefix.crop(surplus)
                return prefix
        return CachedPrefix(DynamicCache(config=self.model.config), adapter=adapter)

    def _forward(self, ids: list[int], proposed: list[int], prefix: CachedPrefix) -> Tensor:
        """Read both. Returns the logits for the id after `ids` and after each proposal.

        Their shape: (1 + proposed, vocabulary).
        """
        cached = prefix.ids
        prefix.ids = []  # if the pass is interrupted, the layers' caches differ in length
        adapted = self._adapter.on(prefix.adapter) if self._adapter else nullcontext()
        with self._lock, torch.inference_mode(), adapted:
            row = torch.tensor([ids + proposed], device=self.model.device)  # (1, ids + proposed)
            output = self.model(
                input_ids=row, cache=prefix.cache, use_cache=True, logits_to_keep=1 + len(proposed)
            )
        prefix.ids = cached + ids + proposed
        return output.logits[0].to(torch.float32, copy=True)

    def _choose(self, logits: Tensor, proposed: list[int], text: Text) -> list[int]:
        """The next ids: what the guide allows, or the model's choices as far as they confirm the proposals.

        logits: (1 + proposed, vocabulary). An id of `ends` can only be the last.
        """
        if not text.adapter:
            penalize(logits, [text.recent()], self._is_word)
        if self._sampling:
            logits = self._sampling.perturb(logits)
        if text.guide:
            return text.guide.choose(logits[0], text.limit - len(text.written))
        return accept(proposed, logits.argmax(1).tolist(), self.ends)

    def _hand_out(self, new: list[int], text: Text, done: Generation) -> Generator[str]:
        """Append new ids and yield the pieces of text that they complete; note whether it ends, and why."""
        ids = list(takewhile(lambda token: token not in self.ends, new))
        all_fit = len(text.written) + len(ids) <= text.limit
        for token in ids[: text.limit - len(text.written)]:
            text.written.append(token)
            done.output_tokens += 1
            piece = text.stream.step(self.tokenizer.backend_tokenizer, token)
            if piece:  # None after half a letter
                yield piece
            if text.guide is None and is_repeating(text.written):
                text.ended = True
                return
        fits_schema = text.guide is not None and text.guide.finished and all_fit
        if len(text.written) == text.limit and not fits_schema:
            context_is_full = text.limit < text.max_tokens
            done.stop_reason = "model_context_window_exceeded" if context_is_full else "max_tokens"
            text.ended = True
        elif fits_schema or len(ids) < len(new):
            text.ended = True


def common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids at the start of both are the same."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length

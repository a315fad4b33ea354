"""The interface between the embedded backend and the engine that generates its text.

    >>> engine = TransformersEngine.load(load_settings())
    >>> prompt = "<|im_start|>user\\nWhat is the capital of France?<|im_end|>\\n<|im_start|>assistant\\n"
    >>> answer = engine.generate(engine.encode(prompt), max_tokens=50)
    >>> "".join(answer), answer.stop_reason, answer.output_tokens
    ('The capital of France is Paris.', 'end_turn', 7)

Engines decode greedily, so the same request gives the same text. They work on token ids and text; the backend
handles messages, turns and tools.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Literal, Protocol

from shared.embedded.wire import Schema

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

StopReason = Literal["end_turn", "max_tokens", "model_context_window_exceeded"]


class Generation:
    """An iterator over pieces of generated text. The counts grow with it; `stop_reason` is set at its end.

    Closing it early (or deleting it) stops the generation; the cache is kept for the next call.
    """

    def __init__(self, run: Callable[[Generation], Generator[str]]) -> None:
        self.output_tokens = 0
        self.cached_tokens = 0  # tokens of the prompt that were read from the cache of an earlier call
        self.stop_reason: StopReason = "end_turn"
        self._pieces = run(weakref.proxy(self))  # no reference cycle: deleting it stops the work at once

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop generating."""
        self._pieces.close()


class Engine(Protocol):
    """A model that continues token ids with text."""

    tokenizer: PreTrainedTokenizerFast
    context: int  # tokens, prompt and answer together

    def encode(self, text: str) -> list[int]:
        """Token ids of a rendered prompt: special tokens in the text are recognized, none are added."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def generate(
        self, prompt: list[int], max_tokens: int, *, schema: Schema | None = None, adapter: bool = False
    ) -> Generation:
        """Continue `prompt`, which must be shorter than the context, by at most `max_tokens`.

        With a `schema`, a text whose stop reason is `end_turn` is JSON that fits it. `adapter` switches the
        tool-calling adapter on.

        Raises:
            UnsupportedSchema: the schema can't be enforced.
            Refused: this engine can't apply the adapter.
            UserError: the adapter is missing, damaged or for another model.
        """
        ...

"""What the embedded backend needs of a text engine.

    >>> engine = TransformersEngine.load(load_settings())
    >>> prompt = "<|im_start|>user\\nWhat is the capital of France?<|im_end|>\\n<|im_start|>assistant\\n"
    >>> answer = engine.generate(engine.encode(prompt), max_tokens=50)
    >>> "".join(answer), answer.stop_reason, answer.output_tokens
    ('The capital of France is Paris.', 'end_turn', 7)

Engines write greedily: the same request gives the same text. They know token ids and text; messages, turns
and tools are the backend's.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

StopReason = Literal["end_turn", "max_tokens", "model_context_window_exceeded"]


class Generation:
    """Pieces of text as they come. The counts grow with them; the reason is known at the end.

    Closing it early (or dropping it) ends the work; what was computed still serves the next call.
    """

    def __init__(self, run: Callable[[Generation], Generator[str]]) -> None:
        self.output_tokens = 0
        self.cached_tokens = 0  # of the prompt: taken from an earlier call, not computed again
        self.stop_reason: StopReason = "end_turn"
        self._pieces = run(weakref.proxy(self))  # no circle: dropping it ends the work at once

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop here. No more pieces come."""
        self._pieces.close()


class Engine(Protocol):
    """A model that continues token ids with text."""

    tokenizer: PreTrainedTokenizerFast
    context: int  # tokens, prompt and answer together

    def encode(self, text: str) -> list[int]:
        """Token ids of a rendered prompt: markers such as <|im_start|> count, none are added."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def generate(
        self,
        prompt: list[int],
        max_tokens: int,
        *,
        schema: dict[str, Any] | None = None,
        adapter: bool = False,
    ) -> Generation:
        """Continue `prompt`, which leaves room in the context, by at most `max_tokens`.

        With a `schema`, a text that ends in `end_turn` is JSON that fits it. With `adapter`, the model works
        with the adapter that was trained to call tools.

        Raises:
            UnsupportedSchema: it can't be enforced.
            Refused: this engine can't apply the adapter.
            UserError: there is no such adapter for the model.
        """
        ...

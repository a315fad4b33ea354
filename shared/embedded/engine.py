"""What the embedded backend needs of a text engine.

    >>> engine = load_engine(load_settings())
    >>> prompt = "<|im_start|>user\\nWhat is the capital of France?<|im_end|>\\n<|im_start|>assistant\\n"
    >>> answer = engine.generate(engine.encode(prompt), max_tokens=50)
    >>> "".join(answer), answer.stop_reason, answer.output_tokens
    ('The capital of France is Paris.', 'end_turn', 7)

Engines write greedily: the same request gives the same text. They know token ids and text; messages, turns
and tools are the backend's. Only an engine that can put the tools' adapter beside the model calls tools.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "model_context_window_exceeded"]


class Generation:
    """Pieces of text as they come. The counts grow with them; the reason is known at the end.

    Closing it early (or dropping it) ends the work; what was computed still serves the next call.
    """

    def __init__(self, run: Callable[[Generation], Iterator[str]]) -> None:
        self.output_tokens = 0
        self.cached_tokens = 0  # of the prompt: taken from an earlier call, not computed again
        self.stop_reason: StopReason = "end_turn"
        self.stop_sequence: str | None = None
        self._pieces = run(weakref.proxy(self))  # no circle: dropping it ends the work at once

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop here. No more pieces come."""
        close: Callable[[], None] | None = getattr(self._pieces, "close", None)
        if close:
            close()


class Engine(Protocol):
    """A model that continues token ids with text."""

    name: str
    context: int  # tokens, prompt and answer together
    calls_tools: bool  # whether `generate` takes `adapter=True`

    def encode(self, text: str) -> list[int]:
        """Token ids of a rendered prompt: markers such as <|im_start|> count, none are added."""
        ...

    def generate(
        self,
        prompt: list[int],
        max_tokens: int,
        *,
        stop: Sequence[str] = (),
        schema: dict[str, Any] | None = None,
        adapter: bool = False,
    ) -> Generation:
        """Continue `prompt` by at most `max_tokens`, up to the first of the `stop` strings (not included).

        With a `schema`, a text that ends in `end_turn` is JSON that fits it. With `adapter`, the model works
        with the adapter that was trained to call tools.

        Raises:
            UnsupportedSchema: it can't be enforced.
            UserError: there is no such adapter for the model.
            ValueError: an empty prompt, or one that leaves no room in the context.
        """
        ...


class StopStrings:
    """Lets text through up to the first stop string, and holds back what may be the start of one.

    >>> stops = StopStrings(["END"])
    >>> stops.add("the E"), stops.add("ND of it"), stops.found
    ('the ', '', 'END')
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.found: str | None = None
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def add(self, text: str) -> str:
        """What can be shown now. Of stop strings that end together, the one that starts first counts."""
        text = self._held + text
        places = [(at, -len(stop), stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if places:
            at, _, self.found = min(places)
            self._held = ""
            return text[:at]
        hold = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold]

    def rest(self) -> str:
        """What was held back for nothing, once no more text comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many letters at the end of `text` are the start of `stop` (fewer than all of it)."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-n:])), 0)


def room(prompt: list[int], context: int) -> int:
    """How many tokens may be written after the prompt.

    Raises:
        ValueError: the prompt is empty, or leaves no room.
    """
    if not prompt:
        raise ValueError("the prompt is empty")
    if len(prompt) >= context:
        raise ValueError(f"prompt is too long: {len(prompt)} tokens > {context - 1} maximum")
    return context - len(prompt)

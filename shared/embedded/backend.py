"""Answers a request of the Messages API on this machine: with tool calls, or with text.

    question, tools     the model writes a list of calls, with its tools' adapter, under a grammar
                        some calls            -> tool_use blocks
                        []                    -> a short text, without the tools and without the adapter
    tool results        text, written with the adapter
    output_config       a JSON schema         -> text, written under a grammar

What is called, with which arguments, and what is said of a result are the model's choice; this file only
puts the question to it. A model of 135M parameters gets some of that wrong: step 2 measures how often.
It knows requests and answers, not their transport: JSON, events and HTTP are stream.py and transport.py.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.catalog import lookup
from shared.config import Settings
from shared.embedded.calls import ToolCall, read, schema_of
from shared.embedded.engine import Engine, Generation
from shared.embedded.prompt import Conversation, calls_as_text
from shared.embedded.wire import Refused
from shared.errors import UserError

CALL_TOKENS = 512  # what calls may take; a list that is cut has no calls
SENTENCE_END = re.compile(r"(?:[^\d.]\.|[!?\n]) *$")  # not the point of "2."
SHORT = 80  # tokens, after which a text that no tool stands behind ends with its sentence


@dataclass
class Answer:
    """What is answered: tool calls or a text, and what the request counts as. All but the text is decided."""

    input_tokens: int
    text: Generation
    calls: list[ToolCall] = field(default_factory=list)

    @property
    def stop_reason(self) -> str:
        """Of the whole; of a text only once it is at its end."""
        return "tool_use" if self.calls else self.text.stop_reason


class Backend:
    """One chat model with its engine, which is loaded when it is first needed."""

    def __init__(
        self, settings: Settings, engine: Engine | None = None, load: Callable[[], Engine] | None = None
    ) -> None:
        """`load` brings the engine when it is first needed; without it, transformers does."""
        self.settings, self._load, self._engine = settings, load or self._transformers, engine
        self._loading = threading.Lock()

    def _transformers(self) -> Engine:
        from shared.embedded.on_transformers import TransformersEngine

        return TransformersEngine.load(self.settings)

    @property
    def engine(self) -> Engine:
        """What writes the text.

        Raises:
            UserError: the model can't be had, or can't chat.
        """
        with self._loading:
            if self._engine is None:
                self._engine = self._load()
            if not self._engine.tokenizer.chat_template:
                raise UserError(
                    f"{self.settings.model} has no chat template: it continues texts and can't chat; "
                    "choose a model that follows instructions"
                )
            return self._engine

    def warm_up(self) -> None:
        """Load what would be loaded with the first question.

        Raises:
            UserError: the model can't be had.
        """
        _ = self.engine

    def close(self) -> None:
        """End the engine's threads, if it has any. Texts that are being written end with an error."""
        close = getattr(self._engine, "close", None)
        if close:
            close()

    def answer(self, body: dict[str, Any]) -> Answer:
        """Decide how to answer a request that has the wire format.

        Raises:
            Refused, UnsupportedSchema: it asks for what this backend can't do, or is too long.
            UserError: the model can't be had.
        """
        conversation = Conversation(body, tools := _tools(body))
        prompt, limit = self._encoded(conversation), body["max_tokens"]
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
        choice = body.get("tool_choice") or {"type": "auto"}
        forced = choice["type"] in ("any", "tool")
        if tools and not conversation.prefill and (forced or not conversation.has_results):
            written = self.engine.generate(prompt, CALL_TOKENS, schema=schema_of(tools, choice), adapter=True)
            if calls := read("".join(written)):
                return self._called(len(prompt), written.cached_tokens, calls, limit)
            text = self.engine.generate(self._encoded(Conversation(body)), limit, schema=schema)
            return Answer(len(prompt), _short(text) if schema is None else text)
        text = self.engine.generate(prompt, limit, schema=schema, adapter=bool(tools))
        return Answer(len(prompt), text)

    def count(self, body: dict[str, Any]) -> int:
        """Tokens of a request's prompt, as `usage` will sum them up.

        Raises:
            Refused, UserError: as `answer`.
        """
        return len(self.engine.encode(Conversation(body, _tools(body)).render(self.engine.tokenizer)))

    def _encoded(self, conversation: Conversation) -> list[int]:
        """The prompt's ids.

        Raises:
            Refused: they leave no room in the context.
        """
        prompt = self.engine.encode(conversation.render(self.engine.tokenizer))
        if len(prompt) >= self.engine.context:
            raise Refused(f"prompt is too long: {len(prompt)} tokens > {self.engine.context - 1} maximum")
        return prompt

    def _called(self, counted: int, cached: int, calls: Sequence[ToolCall], limit: int) -> Answer:
        """The calls as the answer; none where they take more than `limit` tokens: a part is no answer."""
        text = Generation(lambda _done: (piece for piece in ()))
        text.cached_tokens = cached
        text.output_tokens = sum(
            len(self.engine.encode(calls_as_text([(call.name, call.input)]))) for call in calls
        )
        if text.output_tokens <= limit:
            return Answer(counted, text, list(calls))
        text.output_tokens, text.stop_reason = limit, "max_tokens"
        return Answer(counted, text)


def _tools(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The tools that may be called."""
    hidden = (body.get("tool_choice") or {}).get("type") == "none"
    return [] if hidden else body.get("tools") or []


def _short(text: Generation) -> Generation:
    """The same text up to the end of the sentence that its token number `SHORT` stands in."""

    def pieces(done: Generation) -> Generator[str]:
        whole = ""
        try:
            for piece in text:
                whole += piece
                yield piece
                if text.output_tokens >= SHORT and SENTENCE_END.search(whole):
                    return
        finally:
            text.close()
            done.output_tokens, done.cached_tokens = text.output_tokens, text.cached_tokens
            done.stop_reason = text.stop_reason

    return Generation(pieces)


# --- one a process ------------------------------------------------------------------------------------

_backends: dict[str, Backend] = {}
_making = threading.Lock()


def backend(settings: Settings) -> Backend:
    """The backend of the settings' model: one for all clients of this process. Loads nothing yet.

    Raises:
        UserError: there is no such model, or it can't chat.
    """
    spec = lookup(settings.model)
    if spec.is_claude or "chat" not in spec.roles:
        raise UserError(f"{settings.model} can't chat on this machine: choose a chat model")
    what = {"model", "tools_adapter", "device", "dtype", "threads", "cache_dir", "models_dir", "hub"}
    key = settings.model_dump_json(include=what)
    with _making:
        if key not in _backends:
            _backends[key] = Backend(settings)
        return _backends[key]

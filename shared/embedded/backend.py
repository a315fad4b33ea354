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

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared import models
from shared.catalog import lookup
from shared.config import Settings
from shared.embedded import engines
from shared.embedded.calls import ToolCall, read, schema_of
from shared.embedded.engine import Engine, Generation
from shared.embedded.prompt import Conversation, calls_as_text
from shared.embedded.wire import Refused
from shared.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CALL_TOKENS = 512  # what calls may take; a list that is cut is none
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
        return "tool_use" if self.calls and self.text.stop_reason == "end_turn" else self.text.stop_reason


class Backend:
    """One chat model with its engine, which is loaded when it is first needed."""

    trouble: str | None = None  # why a question would have to wait: never, for a model in this process

    def __init__(
        self, settings: Settings, engine: Engine | None = None, load: Callable[[], Engine] | None = None
    ) -> None:
        """`load` brings the engine when it is first needed; without it, the one of the settings comes."""
        self.settings, self._load, self._engine = settings, load, engine
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._loading = threading.Lock()

    def answer(self, body: dict[str, Any]) -> Answer:
        """Decide how to answer a request that has the wire format.

        Raises:
            Refused: it asks for what this backend can't do, or is too long.
            UserError: the model can't be had.
        """
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
        if schema is not None:
            _check(schema)
        tools = self._tools(body)
        conversation = Conversation(body, tools)
        prompt, limit = self._encoded(conversation), body["max_tokens"]
        counted, forced, stops = len(prompt), _is_forced(body), body.get("stop_sequences", [])
        if tools and not conversation.prefill and (forced or not conversation.has_results):
            calls, cached = self._calls(prompt, tools, body.get("tool_choice"))
            if calls:
                return self._called(counted, cached, calls, limit)
            prompt = self._encoded(Conversation(body))
            text = self.engine.generate(prompt, limit, stop=stops, schema=schema)
            return Answer(counted, _short(text) if schema is None else _validated(text, schema))
        text = self.engine.generate(prompt, limit, stop=stops, schema=schema, adapter=bool(tools))
        return Answer(counted, text if schema is None else _validated(text, schema))

    def count(self, body: dict[str, Any]) -> int:
        """Tokens of a request's prompt, as `usage` will sum them up.

        Raises:
            Refused, UserError: as `answer`.
        """
        return len(self.engine.encode(Conversation(body, self._tools(body)).render(self.tokenizer)))

    def _tools(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The tools that may be called.

        Raises:
            Refused: the engine can't call any.
        """
        tools = body.get("tools") or []
        if (body.get("tool_choice") or {}).get("type") == "none":
            return []
        if tools and not self.engine.calls_tools:
            raise Refused(f"tools: engine {self.engine.name} can't call tools; use engine transformers")
        return tools

    def _encoded(self, conversation: Conversation) -> list[int]:
        """The prompt's ids.

        Raises:
            Refused: they leave no room in the context.
        """
        prompt = self.engine.encode(conversation.render(self.tokenizer))
        if len(prompt) >= self.engine.context:
            raise Refused(f"prompt is too long: {len(prompt)} tokens > {self.engine.context - 1} maximum")
        return prompt

    def _calls(
        self, prompt: list[int], tools: Sequence[dict[str, Any]], choice: dict[str, Any] | None
    ) -> tuple[list[ToolCall], int]:
        """The calls that the model writes, and how much of the prompt was cached.

        There are none where no tool fits, or where their list was cut.
        """
        written = self.engine.generate(prompt, CALL_TOKENS, schema=schema_of(tools, choice), adapter=True)
        text = "".join(written)
        try:
            return read(text), written.cached_tokens
        except ValueError:
            return [], written.cached_tokens

    @property
    def engine(self) -> Engine:
        """What writes the text."""
        with self._loading:
            if self._engine is None:
                self._engine = self._load() if self._load else engines.load_engine(self.settings)
            return self._engine

    def warm_up(self) -> None:
        """Load what would be loaded with the first question.

        Raises:
            UserError: the model can't be had.
        """
        _ = self.tokenizer

    def close(self) -> None:
        """End the engine's threads, if it has any. Texts that are being written end with an error."""
        close = getattr(self._engine, "close", None)
        if close:
            close()

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """For its chat template, and to cut texts."""
        engine = self.engine
        with self._loading:
            if self._tokenizer is None:
                own = getattr(engine, "tokenizer", None)
                self._tokenizer = own or models.load_tokenizer(settings=self.settings)
                if not self._tokenizer.chat_template:
                    raise UserError(
                        f"{self.settings.model} has no chat template: it continues texts and can't chat; "
                        "choose a model that follows instructions"
                    )
            return self._tokenizer

    def _called(self, counted: int, cached: int, calls: Sequence[ToolCall], limit: int) -> Answer:
        """As many of the calls as `limit` allows: half a call is none."""
        kept: list[ToolCall] = []
        text = Generation(lambda _done: iter(()))
        text.cached_tokens = cached
        for call in calls:
            size = len(self.engine.encode(calls_as_text([(call.name, call.input)])))
            if text.output_tokens + size > limit:
                text.output_tokens, text.stop_reason = limit, "max_tokens"
                break
            text.output_tokens += size
            kept.append(call)
        return Answer(counted, text, kept)


def _is_forced(body: dict[str, Any]) -> bool:
    """Whether the request wants a call, whatever was said."""
    return (body.get("tool_choice") or {}).get("type") in ("any", "tool")


def _check(schema: dict[str, Any]) -> None:
    from shared.embedded import grammar

    try:
        grammar.check(schema)
    except grammar.UnsupportedSchema as error:
        raise Refused(f"output_config.format.schema: {error}") from None


def _short(text: Generation) -> Generation:
    """The same text up to the end of the sentence that its token number `SHORT` stands in."""

    def pieces(done: Generation) -> Iterator[str]:
        whole = ""
        for piece in _passed_on(text, done):
            whole += piece
            yield piece
            if text.output_tokens >= SHORT and SENTENCE_END.search(whole):
                return

    return Generation(pieces)


def _validated(text: Generation, schema: dict[str, Any]) -> Generation:
    """The same text; one that came to its own end is held against the schema before it counts as ended."""

    def pieces(done: Generation) -> Iterator[str]:
        import jsonschema

        whole = ""
        for piece in _passed_on(text, done):
            whole += piece
            yield piece
        if text.stop_reason == "end_turn":
            with suppress(re.error):  # a pattern that is none for Python; the grammar knows the right ones
                jsonschema.validate(json.loads(whole), schema)

    return Generation(pieces)


def _passed_on(text: Generation, done: Generation) -> Iterator[str]:
    """The pieces of a text; its counts and its end are copied to `done`, and it is closed in the end."""
    try:
        yield from text
    finally:
        text.close()
        done.output_tokens, done.cached_tokens = text.output_tokens, text.cached_tokens
        done.stop_reason, done.stop_sequence = text.stop_reason, text.stop_sequence


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
    what = {"model", "engine", "tools_adapter", "device", "dtype", "threads"}
    what |= {"cache_dir", "models_dir", "hub"}
    key = settings.model_dump_json(include=what)
    with _making:
        if key not in _backends:
            _backends[key] = Backend(settings)
        return _backends[key]

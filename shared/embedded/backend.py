"""Answers a request of the Messages API on this machine: with tool calls, with tool results, or with text.

    question, tools        the tool chooser finds calls               -> tool_use blocks
    question               no tools, none wanted, or none that fits   -> text, written by the model
    tool results           what they say, put together by rule        -> text
    output_config          a JSON schema                              -> text, written under a grammar

Results are not retold by the model: a model of 135M parameters gets figures wrong, so results.py puts them
into words. The model doesn't read the tools' definitions either (it can't use them, the chooser does), but
`usage` counts them, as every server would. This backend is there to run the loop with no key and no network;
how good an answer is must be judged on a bigger model.

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
from shared.embedded.engine import Engine, Generation, StopStrings
from shared.embedded.prompt import Conversation, call_as_json
from shared.embedded.refuse import Refused, refuse
from shared.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from shared.embedded.calls import Caller, ToolCall
    from shared.embedded.results import Result

WORDS = re.compile(r"(?:\s*\S+){1,4}\s*|\s+")  # a piece of a text that is there already


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
    """One chat model with its engine and its tool chooser; both are loaded when they are first needed."""

    trouble: str | None = None  # why a question would have to wait: never, for a model in this process

    def __init__(
        self,
        settings: Settings,
        engine: Engine | None = None,
        caller: Caller | None = None,
        load: Callable[[], Engine] | None = None,
    ) -> None:
        """`load` brings the engine when it is first needed; without it, the one of the settings comes."""
        self.settings, self._load = settings, load
        self._engine, self._caller = engine, caller
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._loading, self._choosing = threading.Lock(), threading.Lock()

    def answer(self, body: dict[str, Any]) -> Answer:
        """Decide how to answer a request that has the wire format.

        Raises:
            Refused: it asks for what this backend can't do, or is too long.
            UserError: the model can't be had.
        """
        refuse(body)
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
        if schema is not None:
            _check(schema)
        engine, conversation = self.engine, Conversation(body)
        prompt, stops = engine.encode(conversation.render(self.tokenizer)), body.get("stop_sequences", [])
        results = conversation.results() if schema is None or _holds_one_text(schema) else []
        # Results are read by no model, so they may be longer than its context.
        if len(prompt) >= engine.context and (conversation.is_asked or not results):
            raise Refused(f"prompt is too long: {len(prompt)} tokens > {engine.context - 1} maximum")
        counted, limit = self._count(conversation, body, prompt), body["max_tokens"]
        if calls := self._calls(conversation, body):
            return self._called(counted, calls, limit)
        if results:
            text = self._spoken(_in_words(results, schema), limit, stops)
        else:
            text = engine.generate(prompt, limit, stop=stops, schema=schema)
        return Answer(counted, text if schema is None else _validated(text, schema))

    def count(self, body: dict[str, Any]) -> int:
        """Tokens of a request's prompt, as `usage` will sum them up.

        Raises:
            Refused, UserError: as `answer`.
        """
        refuse(body)
        conversation = Conversation(body)
        return self._count(conversation, body, self.engine.encode(conversation.render(self.tokenizer)))

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

    def _count(self, conversation: Conversation, body: dict[str, Any], prompt: list[int]) -> int:
        tools = body.get("tools")
        return len(self.engine.encode(conversation.render(self.tokenizer, tools)) if tools else prompt)

    def _calls(self, conversation: Conversation, body: dict[str, Any]) -> list[ToolCall]:
        """The calls that the question leads to: none when there are no tools, or none fits."""
        tools, choice = body.get("tools"), body.get("tool_choice")
        forced = choice is not None and choice["type"] in ("any", "tool")
        if not tools or conversation.prefill or (choice or {}).get("type") == "none":
            return []
        if not conversation.is_asked and not forced:
            return []
        with self._choosing:
            calls = self._chooser().calls(conversation.question, tools, choice, conversation.earlier())
        if forced and not calls:
            raise Refused("tool_choice: the embedded model takes calls from a question, and there is none")
        return calls

    def _chooser(self) -> Caller:
        if self._caller is None:
            from shared.embedded.calls import Caller
            from shared.embedded.likelihood import Likelihood
            from shared.embedded.meaning import Meaning
            from shared.embedded.wording import load

            wording = load(self.settings.chooser)
            # llama.cpp gives no log-likelihoods of a prompt: with it, tools need the model a second time.
            model: Any = getattr(self.engine, "model", None) or models.load_causal_lm(settings=self.settings)
            # Random weights know no meaning, and what stands on them must need no other model.
            meaning = None if lookup(self.settings.model).random else Meaning(self.settings)
            self._caller = Caller(Likelihood(model, self.tokenizer), meaning, wording)
        return self._caller

    def _called(self, counted: int, calls: Sequence[ToolCall], limit: int) -> Answer:
        """As many of the calls as `limit` allows: half a call is none."""
        kept: list[ToolCall] = []
        text = Generation(lambda _done: iter(()))
        for call in calls:
            size = len(self.engine.encode(call_as_json(call.name, call.input)))
            if text.output_tokens + size > limit:
                text.output_tokens, text.stop_reason = limit, "max_tokens"
                break
            text.output_tokens += size
            kept.append(call)
        return Answer(counted, text, kept)

    def _spoken(self, said: str, limit: int, stops: Sequence[str]) -> Generation:
        """A text that is there already, as if the model wrote it: cut where it would have had to stop."""

        def run(done: Generation) -> Iterator[str]:
            found = StopStrings(stops)
            shown = found.add(said) + found.rest()
            ids = self.engine.encode(shown)
            done.output_tokens = min(len(ids), limit)
            if len(ids) > limit:
                done.stop_reason = "max_tokens"
                shown = str(self.tokenizer.decode(ids[:limit], clean_up_tokenization_spaces=False))
                shown = shown.rstrip("\N{REPLACEMENT CHARACTER}")  # half a letter
            elif found.found:
                done.stop_reason, done.stop_sequence = "stop_sequence", found.found
            yield from WORDS.findall(shown)

        return Generation(run)


def _check(schema: dict[str, Any]) -> None:
    import jsonschema

    from shared.embedded import grammar

    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
        grammar.check(schema)
    except jsonschema.SchemaError as error:
        raise Refused(f"output_config.format.schema: {error.message}") from None
    except grammar.UnsupportedSchema as error:
        raise Refused(f"output_config.format.schema: {error}") from None


def _in_words(results: Sequence[Result], schema: dict[str, Any] | None) -> str:
    from shared.embedded.results import render

    said = render(results)
    if schema is None:
        return said
    return json.dumps({next(iter(schema["properties"])): said}, ensure_ascii=False)


def _holds_one_text(schema: dict[str, Any]) -> bool:
    """Whether it asks for nothing but a text, of any wording, in one field."""
    fields = schema.get("properties", {})
    bare = {"type", "title", "description", "properties", "required", "additionalProperties", "$schema"}
    return (
        schema.get("type") == "object"
        and len(fields) == 1
        and set(schema) <= bare
        and all(
            isinstance(field, dict)
            and field.get("type") == "string"
            and set(field) <= {"type", "title", "description"}
            for field in fields.values()
        )
    )


def _validated(text: Generation, schema: dict[str, Any]) -> Generation:
    """The same text; one that came to its own end is held against the schema before it counts as ended."""

    def run(done: Generation) -> Iterator[str]:
        import jsonschema

        whole = ""
        try:
            for piece in text:
                whole += piece
                yield piece
        finally:
            text.close()
            done.output_tokens, done.cached_tokens = text.output_tokens, text.cached_tokens
            done.stop_reason, done.stop_sequence = text.stop_reason, text.stop_sequence
        if text.stop_reason == "end_turn":
            with suppress(re.error):  # a pattern that is none for Python; the grammar knows the right ones
                jsonschema.validate(json.loads(whole), schema)

    return Generation(run)


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
    what = {"model", "embedder", "engine", "chooser", "device", "dtype", "threads"}
    what |= {"cache_dir", "models_dir", "hub"}
    key = settings.model_dump_json(include=what)
    with _making:
        if key not in _backends:
            _backends[key] = Backend(settings)
        return _backends[key]

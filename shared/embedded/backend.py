"""Answers a request of the Messages API on this machine: with tool calls, or with text.

    question, tools     the model writes a list of calls, with the tool-calling adapter, under a grammar
                        some calls            -> tool_use blocks
                        []                    -> a short text, without the tools and without the adapter
    tool results        text, written with the adapter; one that was trained to may also call again
    output_config       a JSON schema         -> text, written under a grammar

The model chooses the calls, their arguments and what it says about a result; this file only prompts it. A
model of 135M parameters gets some of that wrong: step 2 measures how often. JSON, events and HTTP are in
endpoint.py and transport.py.
"""

import re
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from shared.catalog import lookup
from shared.config import Settings
from shared.embedded.adapter import TOOLS, calls_again
from shared.embedded.calls import AUTO, calls_schema, parse_calls
from shared.embedded.engine import Engine, Generation
from shared.embedded.prompt import Conversation, ToolCall
from shared.embedded.wire import MessagesRequest, Refused, Schema
from shared.errors import UserError

CALL_TOKENS = 512  # limit of a list of calls; if it is reached, there are no calls
SENTENCE_END = re.compile(r"(?:[^\d.]\.|[!?\n]) *$")  # not the point of "2."
SHORT_TOKENS = 80  # after these, a text without a tool call ends with its sentence


@dataclass
class Answer:
    """Tool calls, or a text that is generated as it is read; and the length of the prompt.

    With calls, `text` is what the model wrote them in, read to its end.
    """

    input_tokens: int
    text: Generation
    calls: list[ToolCall] = field(default_factory=list)

    @property
    def stop_reason(self) -> str:
        """Why the answer ended; for a text, known once it has been read to its end."""
        return "tool_use" if self.calls else self.text.stop_reason


class Backend:
    """One chat model and its engine, which is loaded on first use."""

    def __init__(
        self, settings: Settings, engine: Engine | None = None, load: Callable[[], Engine] | None = None
    ) -> None:
        """`load` loads the engine on first use; the default is `TransformersEngine.load`."""
        self.settings = settings
        self._load = load or self._load_transformers
        self._engine = engine
        self._load_lock = threading.Lock()

    def _load_transformers(self) -> Engine:
        # Here, because it imports torch and transformers, and step 5's own engine needs less of them.
        from shared.embedded.on_transformers import TransformersEngine

        return TransformersEngine.load(self.settings)

    @property
    def engine(self) -> Engine:
        """The engine that generates the text, loaded on first use.

        Raises:
            UserError: the model is not available, or can't chat.
        """
        with self._load_lock:
            if self._engine is None:
                self._engine = self._load()
            if not self._engine.tokenizer.chat_template:
                raise UserError(
                    f"{self.settings.model} has no chat template: it continues texts and can't chat; "
                    "choose a model that follows instructions"
                )
            return self._engine

    def answer(self, request: MessagesRequest) -> Answer:
        """Answer a request.

        Raises:
            Refused, UnsupportedSchema: it asks for something that this backend can't do, or is too long.
            UserError: the model is not available.
        """
        tools = request.offered_tools
        choice = request.tool_choice or AUTO
        conversation = Conversation.of(request, tools)
        prompt = self._encode_prompt(conversation)
        answers_results = conversation.has_results and not choice.is_forced
        if tools and not conversation.prefill and not answers_results:
            return self._call_or_answer(request, prompt, calls_schema(tools, choice))
        if tools and answers_results and calls_again(self.settings.tools_adapter or TOOLS):
            written = self._call_again(request, prompt, calls_schema(tools, choice))
            if written is not None:
                return written
        schema = request.output_schema
        text = self.engine.generate(prompt, request.max_tokens, schema=schema, adapter=bool(tools))
        return Answer(len(prompt), text)

    def _call_or_answer(self, request: MessagesRequest, prompt: list[int], list_schema: Schema) -> Answer:
        """Let the model write a list of calls; if it is empty, a text as if there were no tools."""
        written = self.engine.generate(prompt, CALL_TOKENS, schema=list_schema, adapter=True)
        calls = parse_calls("".join(written))
        if calls and written.output_tokens > request.max_tokens:
            written.output_tokens = request.max_tokens
            written.stop_reason = "max_tokens"
            return Answer(len(prompt), written)  # without calls: some of them would be a wrong answer
        if calls:
            return Answer(len(prompt), written, calls)
        schema = request.output_schema
        prompt_without_tools = self._encode_prompt(Conversation.of(request))
        text = self.engine.generate(prompt_without_tools, request.max_tokens, schema=schema)
        return Answer(len(prompt), _shorten(text) if schema is None else text)

    def _call_again(self, request: MessagesRequest, prompt: list[int], list_schema: Schema) -> Answer | None:
        """The calls that follow a result; None if the model begins a text instead of a list."""
        first = "".join(self.engine.generate(prompt, 1, adapter=True))
        if not first.startswith("["):
            return None
        written = self.engine.generate(
            prompt, CALL_TOKENS, schema={**list_schema, "minItems": 1}, adapter=True
        )
        calls = parse_calls("".join(written))
        if not calls or written.output_tokens > request.max_tokens:
            return None
        return Answer(len(prompt), written, calls)

    def _encode_prompt(self, conversation: Conversation) -> list[int]:
        """The prompt's ids.

        Raises:
            Refused: they leave no room for an answer in the context.
        """
        prompt = self.engine.encode(conversation.render(self.engine.tokenizer))
        if len(prompt) >= self.engine.context:
            raise Refused(f"prompt is too long: {len(prompt)} tokens > {self.engine.context - 1} maximum")
        return prompt


def _shorten(text: Generation) -> Generation:
    """The text up to the first end of a sentence after `SHORT_TOKENS` tokens."""

    def pieces(done: Generation) -> Generator[str]:
        so_far = ""
        try:
            for piece in text:
                so_far += piece
                yield piece
                if text.output_tokens >= SHORT_TOKENS and SENTENCE_END.search(so_far):
                    return
        finally:
            text.close()
            done.output_tokens = text.output_tokens
            done.cached_tokens = text.cached_tokens
            done.stop_reason = text.stop_reason

    return Generation(pieces)


_backends: dict[str, Backend] = {}
_backends_lock = threading.Lock()


def get_backend(settings: Settings) -> Backend:
    """The backend for the settings' model, shared by all clients in this process. Loads nothing yet.

    Raises:
        UserError: there is no such model, or it can't chat.
    """
    spec = lookup(settings.model)
    if spec.is_claude or not spec.can_chat:
        raise UserError(f"{settings.model} can't chat on this machine: choose a chat model")
    relevant = {"model", "tools_adapter", "device", "dtype", "threads", "cache_dir", "models_dir", "hub"}
    key = settings.model_dump_json(include=relevant)
    with _backends_lock:
        if key not in _backends:
            _backends[key] = Backend(settings)
        return _backends[key]

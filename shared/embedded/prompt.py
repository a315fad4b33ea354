"""A request's conversation as the model reads it: one text, made with the model's own chat template.

    >>> hello = Message(role="user", content="Hi")
    >>> Conversation([hello], "Be brief.").render(tokenizer)
    '<|im_start|>system\\nBe brief.<|im_end|>\\n<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n'

With tools, the system message ends with one line per tool; the model answers with a JSON list of calls, and
each result follows in a turn of its own:

    system      You can call these functions:
                get_weather: Get the weather in a city. city: string (Name of the city.), day?: string (...)
                Reply with a JSON list of calls; [] if no function fits.
    user        Is it warm in Rome?
    assistant   [{"name": "get_weather", "arguments": {"city": "Rome"}}]
    tool        {"temperature": 21, "sky": "clear"}
    assistant   It is 21 °C in Rome, with a clear sky.

The tool-calling adapter was trained on exactly this text (step4_finetune/toolcalls).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from shared.embedded.wire import (
    Message,
    MessagesRequest,
    Refused,
    Schema,
    TextBlock,
    ToolDefinition,
    ToolResultBlock,
    ToolUseBlock,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEPARATOR = "\n\n"  # between the blocks of a turn


@dataclass(frozen=True)
class Turn:
    """One turn; role is system, user, assistant or tool."""

    role: str
    text: str


class ToolCall(NamedTuple):
    """A call as the model writes it; it has no id yet."""

    name: str  # of the tool
    arguments: dict[str, Any]


class Conversation:
    """The turns of a conversation; the first one is the system's, if there is a system message or a tool."""

    def __init__(
        self, messages: Iterable[Message], system: str = "", tools: Sequence[ToolDefinition] = ()
    ) -> None:
        instructions = [part for part in (system, tools_as_text(tools)) if part]
        self.turns: list[Turn] = []
        if instructions:
            self.turns.append(Turn("system", SEPARATOR.join(instructions)))
        for message in messages:
            for turn in _turns(message):
                self._append(turn)

    @classmethod
    def of(cls, request: MessagesRequest, tools: Sequence[ToolDefinition] = ()) -> Conversation:
        """The request's conversation, with those of its tools that the model is to see."""
        return cls(request.messages, _join(request.system), tools)

    def _append(self, turn: Turn) -> None:
        """Add a turn. Two of the same role in a row become one, except for results."""
        if self.turns and self.turns[-1].role == turn.role != "tool":
            before = self.turns.pop()
            turn = Turn(turn.role, before.text + SEPARATOR + turn.text)
        self.turns.append(turn)

    @property
    def prefill(self) -> str:
        """The start of the answer if the request gives one, else empty."""
        return self.turns[-1].text if self.turns[-1].role == "assistant" else ""

    @property
    def has_results(self) -> bool:
        """Whether the last turn is a tool's result."""
        return self.turns[-1].role == "tool"

    def render(self, tokenizer: PreTrainedTokenizerBase) -> str:
        """The prompt, up to the point where the model continues.

        Raises:
            Refused: the model's template doesn't take these roles.
        """
        complete = self.turns[:-1] if self.prefill else self.turns
        turns = [{"role": turn.role, "content": escape_markers(turn.text, tokenizer)} for turn in complete]
        try:
            prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except jinja2.TemplateError as error:
            raise Refused(f"messages: this model's chat template refuses them: {error}") from None
        return str(prompt) + escape_markers(self.prefill, tokenizer)


def _turns(message: Message) -> Iterator[Turn]:
    """The turns of a message: each tool result is a turn of its own; calls are one list after the text."""
    texts: list[str] = []
    calls: list[ToolCall] = []
    for block in message.content:
        match block:
            case ToolResultBlock():
                error = "error: " if block.is_error else ""
                yield Turn("tool", error + _join(block.content))
            case TextBlock():
                texts.append(block.text)
            case ToolUseBlock():
                calls.append(ToolCall(block.name, block.input))
    if calls:
        texts.append(calls_as_text(calls))
    if texts:
        yield Turn(message.role, SEPARATOR.join(texts))


def _join(blocks: Iterable[TextBlock]) -> str:
    return SEPARATOR.join(block.text for block in blocks)


def calls_as_text(calls: Iterable[ToolCall]) -> str:
    """Tool calls as the model writes them.

    >>> calls_as_text([ToolCall("get_time", {"city": "Rome"})])
    '[{"name": "get_time", "arguments": {"city": "Rome"}}]'
    """
    return _json([call._asdict() for call in calls])


def tools_as_text(tools: Sequence[ToolDefinition]) -> str:
    """One line per tool, and how to call them; empty without tools."""
    if not tools:
        return ""
    lines = ["You can call these functions:"]
    lines += [f"{tool.name}: {_signature(tool)}" for tool in tools]
    lines.append("Reply with a JSON list of calls; [] if no function fits.")
    return "\n".join(lines)


def _signature(tool: ToolDefinition) -> str:
    """A tool's description and its parameters; those that may be left out have a question mark."""
    parameters = []
    for name, schema in tool.input_schema.properties.items():
        mark = "" if name in tool.input_schema.required else "?"
        parameters.append(f"{name}{mark}: {_parameter(schema)}")
    parts = (_one_line(tool.description), ", ".join(parameters))
    return " ".join(part for part in parts if part)


def _parameter(schema: Any) -> str:
    """A parameter's type and description: `string (Name of the city.)`."""
    if not isinstance(schema, dict):
        return "any"
    description = _one_line(str(schema.get("description", "")))
    return f"{_type(schema)} ({description})" if description else _type(schema)


def _type(schema: Schema) -> str:
    """`integer`, `array of string`, or the values to choose from: `"celsius" | "fahrenheit"`."""
    if "enum" in schema:
        return " | ".join(map(_json, schema["enum"]))
    if "const" in schema:
        return _json(schema["const"])
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " | ".join(_type(option) for option in options if isinstance(option, dict))
    kind = schema.get("type", "any")
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"array of {_type(schema['items'])}"
    if kind == "object" and schema.get("properties"):
        fields = [f"{name}: {_type(field)}" for name, field in schema["properties"].items()]
        return "{" + ", ".join(fields) + "}"
    return kind if isinstance(kind, str) else " | ".join(map(str, kind))


def escape_markers(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text with a space in each special token, so that no text from outside can end its turn.

    >>> escape_markers("<|im_end|>", tokenizer)
    '< |im_end|>'
    """
    return _markers(tokenizer).sub(lambda match: match[0][:1] + " " + match[0][1:], text)


@lru_cache(maxsize=4)
def _markers(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """A pattern that matches the text of every special token."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    texts = {str(token) for token in tokenizer.all_special_tokens}
    texts |= {token.content for token in added if token.special}
    longest_first = sorted(texts, key=len, reverse=True)
    matches_nothing = "(?!)"
    return re.compile("|".join(map(re.escape, longest_first)) or matches_nothing)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())

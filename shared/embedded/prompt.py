"""A request's conversation as the model reads it: one text, made with the model's own chat template.

    >>> conversation = Conversation({"messages": [{"role": "user", "content": "Hi"}], "system": "Be brief."})
    >>> conversation.render(tokenizer)
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

The tool-calling adapter was trained on exactly this text (step4_finetune/toolcalls). Requests must be valid
(wire.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.embedded.wire import Refused, as_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Block = dict[str, Any]
SEPARATOR = "\n\n"  # between the blocks of a turn


@dataclass(frozen=True)
class Turn:
    """One turn; role is system, user, assistant or tool."""

    role: str
    text: str


class Conversation:
    """The messages of a request body, and the tools that it offers."""

    def __init__(self, body: dict[str, Any], tools: Sequence[Block] = ()) -> None:
        system = SEPARATOR.join(block["text"] for block in as_blocks(body.get("system", "")))
        system = SEPARATOR.join(part for part in (system, tools_as_text(tools)) if part)
        self.turns = [Turn("system", system)] if system else []
        for message in body["messages"]:
            for turn in _turns(message["role"], as_blocks(message["content"])):
                if self.turns and self.turns[-1].role == turn.role != "tool":
                    turn = Turn(turn.role, self.turns.pop().text + SEPARATOR + turn.text)
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
        import jinja2

        read = self.turns[:-1] if self.prefill else self.turns
        turns = [{"role": turn.role, "content": escape_markers(turn.text, tokenizer)} for turn in read]
        try:
            prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except jinja2.TemplateError as error:
            raise Refused(f"messages: this model's chat template refuses them: {error}") from None
        return str(prompt) + escape_markers(self.prefill, tokenizer)


def _turns(role: str, blocks: list[Block]) -> Iterable[Turn]:
    """The turns of a message: each tool result is a turn of its own; calls are one list after the text."""
    for block in blocks:
        if block["type"] == "tool_result":
            error = "error: " if block.get("is_error") else ""
            texts = [each["text"] for each in as_blocks(block.get("content", ""))]
            yield Turn("tool", error + SEPARATOR.join(texts))
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    if calls := [block for block in blocks if block["type"] == "tool_use"]:
        texts.append(calls_as_text([(call["name"], call["input"]) for call in calls]))
    if texts:
        yield Turn(role, SEPARATOR.join(texts))


def calls_as_text(calls: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Tool calls as the model writes them.

    >>> calls_as_text([("get_time", {"city": "Rome"})])
    '[{"name": "get_time", "arguments": {"city": "Rome"}}]'
    """
    return _json([{"name": name, "arguments": arguments} for name, arguments in calls])


def tools_as_text(tools: Sequence[Block]) -> str:
    """One line per tool, and how to call them; empty without tools."""
    if not tools:
        return ""
    head, foot = "You can call these functions:", "Reply with a JSON list of calls; [] if no function fits."
    return "\n".join([head, *(f"{tool['name']}: {_signature(tool)}" for tool in tools), foot])


def _signature(tool: Block) -> str:
    schema = tool["input_schema"]
    required = schema.get("required", [])
    fields = [
        f"{name}{'' if name in required else '?'}: {_field(field)}"
        for name, field in schema.get("properties", {}).items()
    ]
    description = " ".join(str(tool.get("description", "")).split())
    return " ".join(part for part in (description, ", ".join(fields)) if part)


def _field(field: Any) -> str:
    """A parameter's type and description: `string (Name of the city.)`."""
    if not isinstance(field, dict):
        return "any"
    description = " ".join(str(field.get("description", "")).split())
    return _type(field) + (f" ({description})" if description else "")


def _type(field: dict[str, Any]) -> str:
    """`integer`, `array of string`, or the values to choose from: `"celsius" | "fahrenheit"`."""
    if "enum" in field:
        return " | ".join(map(_json, field["enum"]))
    if "const" in field:
        return _json(field["const"])
    if options := field.get("anyOf") or field.get("oneOf"):
        return " | ".join(_type(each) for each in options if isinstance(each, dict))
    kind = field.get("type", "any")
    if kind == "array" and isinstance(field.get("items"), dict):
        return f"array of {_type(field['items'])}"
    if kind == "object" and field.get("properties"):
        inner = (f"{name}: {_type(each)}" for name, each in field["properties"].items())
        return "{" + ", ".join(inner) + "}"
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
    texts = {*map(str, tokenizer.all_special_tokens), *(token.content for token in added if token.special)}
    return re.compile("|".join(re.escape(each) for each in sorted(texts, key=len, reverse=True)) or "(?!)")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

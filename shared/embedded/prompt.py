"""A request's conversation as the model reads it: one text, by the model's own chat template.

    >>> conversation = Conversation({"messages": [{"role": "user", "content": "Hi"}], "system": "Be brief."})
    >>> conversation.render(tokenizer)
    '<|im_start|>system\\nBe brief.<|im_end|>\\n<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n'

With tools, the system message ends with one line a tool; the model answers with a JSON list of calls, and the
results follow in a turn of their own:

    system      You can call these functions:
                get_weather: Get the weather in a city. city: string (Name of the city.), day?: string (...)
                Reply with a JSON list of calls; [] if no function fits.
    user        Is it warm in Rome?
    assistant   [{"name": "get_weather", "arguments": {"city": "Rome"}}]
    tool        {"temperature": 21, "sky": "clear"}
    assistant   It is 21 °C in Rome, with a clear sky.

The adapter that calls tools was trained on exactly this text (step4_finetune/toolcalls).
It takes requests that have the wire format and that the backend can serve (wire.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.embedded.wire import Refused

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Block = dict[str, Any]
APART = "\n\n"  # between the blocks of a turn


@dataclass(frozen=True)
class Turn:
    """What one side said before another spoke; role is system, user, assistant or tool."""

    role: str
    text: str


class Conversation:
    """The messages of a request body, and the tools that it offers."""

    def __init__(self, body: dict[str, Any], tools: Sequence[Block] = ()) -> None:
        system = APART.join(block["text"] for block in blocks_of(body.get("system", "")))
        head = APART.join(part for part in (system, tools_as_text(tools)) if part)
        self.turns = [Turn("system", head)] if head else []
        for message in body["messages"]:
            for turn in _turns(message["role"], blocks_of(message["content"])):
                if self.turns and self.turns[-1].role == turn.role != "tool":
                    turn = Turn(turn.role, self.turns.pop().text + APART + turn.text)
                self.turns.append(turn)

    @property
    def prefill(self) -> str:
        """The beginning of the answer, when the request gives one."""
        return self.turns[-1].text if self.turns[-1].role == "assistant" else ""

    @property
    def has_results(self) -> bool:
        """Whether the last thing said is a tool's result."""
        return self.turns[-1].role == "tool"

    def render(self, tokenizer: PreTrainedTokenizerBase) -> str:
        """The prompt, up to where the model's answer begins or goes on.

        Raises:
            Refused: the model's template doesn't take these roles.
        """
        import jinja2

        read = self.turns[:-1] if self.prefill else self.turns
        turns = [{"role": turn.role, "content": harmless(turn.text, tokenizer)} for turn in read]
        try:
            prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except jinja2.TemplateError as error:
            raise Refused(f"messages: this model's chat template refuses them: {error}") from None
        return str(prompt) + harmless(self.prefill, tokenizer)


def _turns(role: str, blocks: list[Block]) -> Iterable[Turn]:
    """Results are turns of their own; calls are one list, behind what was said."""
    for block in blocks:
        if block["type"] == "tool_result":
            error = "error: " if block.get("is_error") else ""
            texts = [each["text"] for each in blocks_of(block.get("content", ""))]
            yield Turn("tool", error + APART.join(texts))
    said = [block["text"] for block in blocks if block["type"] == "text"]
    if calls := [block for block in blocks if block["type"] == "tool_use"]:
        said.append(calls_as_text([(call["name"], call["input"]) for call in calls]))
    if said:
        yield Turn(role, APART.join(said))


def calls_as_text(calls: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Tool calls as the model writes them.

    >>> calls_as_text([("get_time", {"city": "Rome"})])
    '[{"name": "get_time", "arguments": {"city": "Rome"}}]'
    """
    return _json([{"name": name, "arguments": arguments} for name, arguments in calls])


def tools_as_text(tools: Sequence[Block]) -> str:
    """The tools, one a line, and how to call them; nothing where there are none."""
    if not tools:
        return ""
    lines = [f"{tool['name']}: {_signature(tool)}" for tool in tools]
    return "\n".join(
        [
            "You can call these functions:",
            *lines,
            "Reply with a JSON list of calls; [] if no function fits.",
        ]
    )


def _signature(tool: Block) -> str:
    schema = tool["input_schema"]
    required = schema.get("required", [])
    fields = [
        f"{name}{'' if name in required else '?'}: {_field(field)}"
        for name, field in schema.get("properties", {}).items()
    ]
    about = " ".join(str(tool.get("description", "")).split())
    return " ".join(part for part in (about, ", ".join(fields)) if part)


def _field(field: Any) -> str:
    """A parameter's type and description: `string (Name of the city.)`."""
    if not isinstance(field, dict):
        return "any"
    about = " ".join(str(field.get("description", "")).split())
    return _type(field) + (f" ({about})" if about else "")


def _type(field: dict[str, Any]) -> str:
    """`integer`, `array of string`, or the values to choose from: `"celsius" | "fahrenheit"`."""
    if "enum" in field:
        return " | ".join(map(_json, field["enum"]))
    if "const" in field:
        return _json(field["const"])
    if several := field.get("anyOf") or field.get("oneOf"):
        return " | ".join(_type(each) for each in several if isinstance(each, dict))
    kind = field.get("type", "any")
    if kind == "array" and isinstance(field.get("items"), dict):
        return f"array of {_type(field['items'])}"
    if kind == "object" and field.get("properties"):
        inner = (f"{name}: {_type(each)}" for name, each in field["properties"].items())
        return "{" + ", ".join(inner) + "}"
    return kind if isinstance(kind, str) else " | ".join(map(str, kind))


def harmless(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text with a space in each marker of turns, so that what somebody said can't end their turn.

    >>> harmless("<|im_end|>", tokenizer)
    '< |im_end|>'
    """
    return _markers(tokenizer).sub(lambda found: found[0][:1] + " " + found[0][1:], text)


@lru_cache(maxsize=4)
def _markers(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """Matches whatever the tokenizer would read as more than its letters."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    found = {*map(str, tokenizer.all_special_tokens), *(token.content for token in added if token.special)}
    return re.compile("|".join(re.escape(each) for each in sorted(found, key=len, reverse=True)) or "(?!)")


def blocks_of(content: str | list[Block]) -> list[Block]:
    """A message's content as blocks."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

"""A request's conversation as the model reads it: one text, by the model's own chat template.

    >>> conversation = Conversation({"messages": [{"role": "user", "content": "Hi"}], "system": "Be brief."})
    >>> conversation.render(tokenizer)
    '<|im_start|>system\\nBe brief.<|im_end|>\\n<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n'

Tools stand in the system message, their calls and results in the turns, as JSON and text: that way they can
be counted and read like everything else. It also answers what the backend has to know about a conversation:
what was asked last, with which results, and what before.

It takes requests that have the wire format and that the backend can serve (wire.py, refuse.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.embedded.refuse import Refused

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from shared.embedded.calls import ToolCall
    from shared.embedded.results import Result

Block = dict[str, Any]
APART = "\n\n"  # between the blocks of a turn


@dataclass(frozen=True)
class Turn:
    """All that one side said before the other spoke: consecutive messages of a role are one turn."""

    role: str
    blocks: list[Block]

    @property
    def text(self) -> str:
        """What was said, without calls and results."""
        return APART.join(block["text"] for block in self.blocks if block["type"] == "text")

    def all_of(self, kind: str) -> list[Block]:
        """Its blocks of one type."""
        return [block for block in self.blocks if block["type"] == kind]


class Conversation:
    """The messages of a request body."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.system = APART.join(block["text"] for block in _blocks(body.get("system", "")))
        self.turns: list[Turn] = []
        for message in body["messages"]:
            blocks = _blocks(message["content"])
            if self.turns and self.turns[-1].role == message["role"]:
                self.turns[-1].blocks.extend(blocks)
            elif blocks:  # an empty assistant message at the end starts the answer with nothing
                self.turns.append(Turn(message["role"], list(blocks)))

    @property
    def prefill(self) -> str:
        """The beginning of the answer, when the request gives one."""
        return self.turns[-1].text if self.turns[-1].role == "assistant" else ""

    def render(self, tokenizer: PreTrainedTokenizerBase, tools: Sequence[Block] = ()) -> str:
        """The prompt, up to where the model's answer begins or goes on.

        Raises:
            Refused: the model's template doesn't take these roles.
        """
        import jinja2

        system = APART.join(part for part in (self.system, _tools_as_text(tools)) if part)
        turns = [{"role": "system", "content": harmless(system, tokenizer)}] if system else []
        read = self.turns[:-1] if self.prefill else self.turns
        turns += [
            {"role": turn.role, "content": harmless(APART.join(map(_as_text, turn.blocks)), tokenizer)}
            for turn in read
        ]
        try:
            prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except jinja2.TemplateError as error:
            raise Refused(f"messages: this model's chat template refuses them: {error}") from None
        return str(prompt) + harmless(self.prefill, tokenizer)

    # --- what the backend has to know ---

    @property
    def question(self) -> str:
        """What the user said last."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user" and turn.text), "")

    @property
    def is_asked(self) -> bool:
        """Whether the user has said something that nobody has answered yet (results alone say nothing)."""
        last = self._last_spoken()
        return last.role == "user" and bool(last.text)

    def results(self) -> list[Result]:
        """The results that the answer is to be made of: all since the last question, in their order."""
        from shared.embedded.results import Result

        if self._last_spoken().role != "user" or not self._last_spoken().all_of("tool_result"):
            return []
        calls = {call["id"]: call for turn in self.turns for call in turn.all_of("tool_use")}
        found: list[Block] = []
        for turn in reversed(self.turns):
            if turn.role == "user" and turn.text and turn is not self._last_spoken():
                break
            found[:0] = turn.all_of("tool_result")
        return [
            Result(
                calls[block["tool_use_id"]]["name"],
                calls[block["tool_use_id"]]["input"],
                _content(block),
                block.get("is_error", False),
            )
            for block in found
        ]

    def earlier(self) -> list[tuple[str, list[ToolCall]]]:
        """The questions before the last one, each with the calls that it led to."""
        from shared.embedded.calls import ToolCall

        found: list[tuple[str, list[ToolCall]]] = []
        for turn in self.turns:
            if turn.role == "user" and turn.text:
                found.append((turn.text, []))
            if found:
                found[-1][1].extend(ToolCall(call["name"], call["input"]) for call in turn.all_of("tool_use"))
        return found[:-1]

    def _last_spoken(self) -> Turn:
        return next(turn for turn in reversed(self.turns) if turn.role != "system")


def call_as_json(name: str, arguments: dict[str, Any]) -> str:
    """A tool call as a model that can would write it."""
    return _json({"name": name, "arguments": arguments})


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


def _blocks(content: str | list[Block]) -> list[Block]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


def _as_text(block: Block) -> str:
    if block["type"] == "tool_use":
        return f"<tool_call>\n{call_as_json(block['name'], block['input'])}\n</tool_call>"
    if block["type"] == "tool_result":
        error = "error: " if block.get("is_error") else ""
        return f"<tool_response>\n{error}{_content(block)}\n</tool_response>"
    return str(block["text"])


def _content(result: Block) -> str:
    return APART.join(block["text"] for block in _blocks(result.get("content", "")))


def _tools_as_text(tools: Sequence[Block]) -> str:
    """Their definitions, one a line; what is not for the model stays out."""
    ours = ("type", "cache_control", "eager_input_streaming", "allowed_callers", "strict", "defer_loading")
    lines = [_json({key: value for key, value in tool.items() if key not in ours}) for tool in tools]
    return "\n".join(["You can call these tools:", *lines]) if lines else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

"""Prints what the model says before its calls, or with `--trace` every message, then the answer and its cost.

The answer comes last, because it is checked first: if no tool gave a result, a line before it (or after the
trace) says so; if it has a number that no tool gave, the tools' own summaries replace it. With --json and
--format json, stdout has only the JSON; everything else goes to stderr. `--trace` shows every message:

    user       What is the weather in Bangkok?
    assistant  get_weather(city="Bangkok")  <- toolu_1
    tool       {"summary": "In Bangkok, Thailand it is 31 °C now, partly cloudy.", ...}  -> toolu_1
    assistant  It is 31 °C in Bangkok.
"""

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from shared.cli import Console, plain_console
from step2_tools.agent.answer import OWN_WORDS
from step2_tools.agent.loop import Message, blocks_of
from step2_tools.agent.tool import visible
from step2_tools.cli import costs

MAX_CHARACTERS = 400  # longer blocks are cut, except the model's own text
STYLES = {"user": "bold cyan", "assistant": "bold", "call": "magenta", "tool": "green", "failed": "red"}


class Screen:
    """The terminal; `message` is the loop's callback."""

    def __init__(self, *, trace: bool = False, quiet: bool = False) -> None:
        self._trace, self._quiet = trace, quiet
        self._console = plain_console(stderr=quiet)

    def message(self, message: Message) -> None:
        """Show a message, from the model or from us."""
        blocks = blocks_of(message)
        if self._trace:
            _show_trace(message, self._console)
        elif not self._quiet and any(block["type"] == "tool_use" for block in blocks):
            _say("".join(block["text"] for block in blocks if block["type"] == "text"))

    def finish(self, facts: dict[str, Any]) -> None:
        """Print the answer, unless the trace has shown it, and the cost."""
        if facts["format"] == "json":
            if not facts["incomplete"]:
                print(json.dumps(facts["answer"], ensure_ascii=False, indent=1))
        else:
            if facts["answer"] and not facts["looked_up"]:
                self._console.print(OWN_WORDS, style="dim", soft_wrap=True)
            if not self._trace:
                _say(facts["answer"])
        line = costs.line(facts, len(facts["calls"]))
        self._console.print(line, style="dim", soft_wrap=True)


def _say(text: str) -> None:
    print(text, end="" if text.endswith("\n") or not text else "\n", flush=True)


def _show_trace(message: Message, console: Console) -> None:
    """Print every block of a message on a line, coloured by its role; a long one is shortened."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=9, no_wrap=True)
    table.add_column(overflow="fold")
    for block in blocks_of(message):
        role, style, text = _line(message["role"], block)
        table.add_row(Text(role, style=STYLES[style]), Text(text))
    console.print(table)


def _line(role: str, block: dict[str, Any]) -> tuple[str, str, str]:
    """The role to show, the style and the text."""
    if block["type"] == "tool_use":
        pairs = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in block["input"].items()]
        call = _cut(f"{block['name']}({', '.join(pairs)})")
        return role, "call", f"{call}  <- {block['id']}"
    if block["type"] == "tool_result":
        failed = bool(block.get("is_error"))
        text = f"{'error: ' if failed else ''}{_cut(str(block['content']))}  -> {block['tool_use_id']}"
        return "tool", "failed" if failed else "tool", text
    text = block.get("text") or block.get("thinking") or f"[{block['type']}]"
    return role, role, _cut(text) if role == "user" else visible(text)


def _cut(text: str) -> str:
    text = visible(text)  # without control characters, which could change the terminal
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]} ... [{len(text):,} characters]"

"""`--trace`: every message of the conversation as it is added, one line a block.

    user       What is the weather in Bangkok?
    assistant  get_weather(city="Bangkok")                                     toolu_1
    tool       In Bangkok, Thailand it is 31 °C now, partly cloudy. [source: ...]  toolu_1
    assistant  It is 31 °C in Bangkok.

What is shown is what was sent, shortened; `--json` has it whole.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from step2_tools.agent.loop import Message, blocks_of

if TYPE_CHECKING:
    from rich.console import Console

LONGEST = 400  # characters of a block that are shown; of the model's own text, all


def show(message: Message, console: Console) -> None:
    """Print one message, in colour for who says it."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=9, no_wrap=True)
    table.add_column(overflow="fold")
    for block in blocks_of(message):
        who, style, text = _line(message["role"], block)
        table.add_row(Text(who, style=style), Text(text))
    console.print(table)


def _line(role: str, block: dict[str, Any]) -> tuple[str, str, str]:
    """Who says it, in which style, and what."""
    if block["type"] == "tool_use":
        return role, "magenta", _cut(f"{call(block['name'], block['input'])}  <- {block['id']}")
    if block["type"] == "tool_result":
        failed = bool(block.get("is_error"))
        text = f"{'error: ' if failed else ''}{_cut(str(block['content']))}  -> {block['tool_use_id']}"
        return "tool", "red" if failed else "green", text
    text = block.get("text") or block.get("thinking") or f"[{block['type']}]"
    return role, "bold cyan" if role == "user" else "bold", _cut(text, LONGEST if role == "user" else None)


def call(name: str, arguments: dict[str, Any]) -> str:
    """A tool call as one would write it: get_weather(city="Bangkok")."""
    given = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
    return f"{name}({given})"


def _cut(text: str, longest: int | None = LONGEST) -> str:
    # Control characters of a tool's answer stay out of the terminal.
    text = "".join(char if char.isprintable() or char == "\n" else " " for char in text)
    return (
        text
        if longest is None or len(text) <= longest
        else f"{text[:longest]} ... [{len(text):,} characters]"
    )

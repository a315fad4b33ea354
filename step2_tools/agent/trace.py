"""`--trace`: prints every message of the conversation when it is added, one line per block.

    user       What is the weather in Bangkok?
    assistant  get_weather(city="Bangkok")  <- toolu_1
    tool       {"summary": "In Bangkok, Thailand it is 31 °C now, partly cloudy.", ...}  -> toolu_1
    assistant  It is 31 °C in Bangkok.

Long blocks are shortened; `--json` prints them in full.
"""

import json
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from step2_tools.agent.loop import Message, blocks_of
from step2_tools.agent.tool import visible

MAX_CHARACTERS = 400  # longer blocks are cut, except the model's own text
STYLES = {"user": "bold cyan", "assistant": "bold", "call": "magenta", "tool": "green", "failed": "red"}


def show(message: Message, console: Console) -> None:
    """Print one message, coloured by its role."""
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

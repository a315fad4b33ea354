"""Prints what the model says before its calls, or with `--trace` every message, then the answer and its cost.

The answer comes last, because it is checked first: if no tool gave a result, a line before it (or after the
trace) says so; if it isn't what the results say, the tools' own summaries replace it. With --json and
--format json, stdout has only the JSON; everything else goes to stderr. `--trace` shows every message:

    user       What is the weather in Bangkok?
    assistant  get_weather(city="Bangkok")  <- toolu_1
    tool       {"summary": "In Bangkok, Thailand it is 31 °C now, partly cloudy.", ...}  -> toolu_1
    assistant  It is 31 °C in Bangkok.
"""

import json
import sys

from anthropic.types import ContentBlockParam, MessageParam
from rich.table import Table
from rich.text import Text

from shared.cli import Console, plain_console, to_json
from step2_tools.agent.answer import OWN_WORDS
from step2_tools.agent.loop import blocks_of
from step2_tools.agent.tool import show_tracebacks, visible
from step2_tools.cli.assistant import AskReport

MAX_CHARACTERS = 400  # longer blocks are cut, except the model's own text
HINT = "a service cannot be reached; with --offline, the tools answer from sample data"
STYLES = {"user": "bold cyan", "assistant": "bold", "call": "magenta", "tool": "green", "failed": "red"}


class Screen:
    """The terminal; `message` is the loop's callback."""

    def __init__(self, *, trace: bool = False, quiet: bool = False) -> None:
        self._trace = trace
        show_tracebacks(trace)
        self._quiet = quiet  # stdout is for JSON
        self._console = plain_console(stderr=quiet)

    def message(self, message: MessageParam) -> None:
        """Show a message, from the model or from us."""
        if self._trace:
            _show_trace(message, self._console)
            return
        blocks = blocks_of(message)
        has_calls = any(block["type"] == "tool_use" for block in blocks)
        if has_calls and not self._quiet:
            _say("".join(block["text"] for block in blocks if block["type"] == "text"))

    def finish(self, report: AskReport) -> None:
        """Print the answer, unless the trace has shown it, and the cost."""
        if report.format == "json":
            self._print_json(report)
        else:
            self._print_text(report)
        self._console.print(report.cost_line, style="dim", soft_wrap=True)

    def warn(self, report: AskReport) -> None:
        """Print on stderr why the answer is incomplete or wrong, and what helps."""
        if report.unreachable:
            print(HINT, file=sys.stderr)
        if report.incomplete:
            print(f"incomplete: {report.incomplete}", file=sys.stderr)

    def _print_json(self, report: AskReport) -> None:
        if not report.incomplete:
            print(json.dumps(to_json(report.answer), ensure_ascii=False, indent=1))

    def _print_text(self, report: AskReport) -> None:
        if report.answer and not report.looked_up:
            self._console.print(OWN_WORDS, style="dim", soft_wrap=True)
        if not self._trace or report.answer_by == "tools":  # the trace shows what the model wrote
            _say(str(report.answer))


def _say(text: str) -> None:
    print(text, end="" if text.endswith("\n") or not text else "\n", flush=True)


def _show_trace(message: MessageParam, console: Console) -> None:
    """Print every block of a message on a line, coloured by its role; a long one is shortened."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=9, no_wrap=True)
    table.add_column(overflow="fold")
    for block in blocks_of(message):
        role, style, text = _line(message["role"], block)
        table.add_row(Text(role, style=STYLES[style]), Text(text))
    console.print(table)


def _line(role: str, block: ContentBlockParam) -> tuple[str, str, str]:
    """The role to show, the style and the text."""
    if block["type"] == "tool_use":
        pairs = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in block["input"].items()]
        call = _cut(f"{block['name']}({', '.join(pairs)})")
        return role, "call", f"{call}  <- {block['id']}"
    if block["type"] == "tool_result":
        text = f"{_cut(str(block.get('content')))}  -> {block['tool_use_id']}"
        if block.get("is_error"):
            return "tool", "failed", f"error: {text}"
        return "tool", "tool", text
    text = str(block.get("text") or block.get("thinking") or f"[{block['type']}]")
    return role, role, _cut(text) if role == "user" else visible(text)


def _cut(text: str) -> str:
    text = visible(text)  # without control characters, which could change the terminal
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]} ... [{len(text):,} characters]"

"""Prints the model's text or every message while the loop runs, and the cost at the end.

A turn is shown when it is complete, because the final one is checked first: if no tool gave a result, a line
above the text says so; if it has a number that no tool gave, the tools' own summaries replace it. With --json
and --format json, stdout has only the JSON; everything else goes to stderr.
"""

import json
from typing import Any

from rich.console import Console

from step2_tools.agent import trace
from step2_tools.agent.answer import OWN_WORDS, guard
from step2_tools.agent.loop import Message, blocks_of
from step2_tools.cli import costs


class Screen:
    """The terminal; `message` is the loop's callback."""

    def __init__(self, form: str = "text", *, trace: bool = False, silent: bool = False) -> None:
        self._form, self._trace, self._silent = form, trace, silent
        self._console = Console(stderr=silent or form == "json", highlight=False, markup=False)
        self._results: list[str] = []  # texts of all tool results
        self._looked_up = False  # whether any call succeeded

    def message(self, message: Message) -> None:
        """Show a message, from the model or from us."""
        blocks = blocks_of(message)
        final = message["role"] == "assistant" and all(block["type"] != "tool_use" for block in blocks)
        shown = self._form == "text" and (self._trace or not self._silent)
        if final and shown and not self._looked_up:
            self._console.print(OWN_WORDS, style="dim", soft_wrap=True)
        if self._trace:
            trace.show(message, self._console)
        elif shown and message["role"] == "assistant":
            text = "".join(block["text"] for block in blocks if block["type"] == "text")
            text = guard(text, self._results)[0] if final else text
            print(text, end="" if text.endswith("\n") or not text else "\n", flush=True)
        results = [block for block in blocks if block["type"] == "tool_result"]
        self._results += [block["content"] for block in results]
        self._looked_up |= any(not block.get("is_error") for block in results)

    def finish(self, facts: dict[str, Any]) -> None:
        """Print the answer if it is JSON, then the cost."""
        if self._form == "json" and not facts["incomplete"]:
            print(json.dumps(facts["answer"], ensure_ascii=False, indent=1))
        line = costs.line(facts, len(facts["calls"]))
        self._console.print(line, style="dim", soft_wrap=True)

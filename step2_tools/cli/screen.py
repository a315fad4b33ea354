"""What a person sees while the loop runs: text as it comes, or every message; and the answer at the end.

A turn of the model is shown when it is whole. A final one is checked first: a line before it says where
nothing was looked up, and where it has a number that no tool gave, the tools' own summaries take its place.
Markdown and JSON appear when they are whole. The cost of Markdown that goes into a file stays out of it. With
--json and --format json, stdout has the JSON and nothing else: the rest goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from step2_tools.agent import trace
from step2_tools.agent.answer import OWN_WORDS, guard
from step2_tools.agent.loop import Message, blocks_of
from step2_tools.cli import costs


class Screen:
    """Hears what the loop says; `text` and `message` are its callbacks."""

    def __init__(self, form: str = "text", *, trace: bool = False, silent: bool = False) -> None:
        self._form, self._trace, self._silent = form, trace, silent
        self._console = Console(stderr=silent or form == "json", highlight=False, markup=False)
        self._results: list[str] = []  # what the tools have given
        self._looked_up = False  # has one given more than an error?
        self._held = ""  # text of the turn that is being written

    def text(self, text: str) -> None:
        """A piece of the model's text."""
        if self._form == "text" and not self._trace and not self._silent:
            self._held += text

    def message(self, message: Message) -> None:
        """A turn, the model's or ours."""
        kinds = {block["type"] for block in blocks_of(message)}
        own = message["role"] == "assistant" and "tool_use" not in kinds and not self._looked_up
        if own and self._form == "text" and (self._trace or not self._silent):
            self._console.print(OWN_WORDS, style="dim", soft_wrap=True)
        if message["role"] == "assistant" and "tool_use" not in kinds:
            self._held = guard(self._held, self._results)[0]
        self.end()
        if self._trace:
            trace.show(message, self._console)
        results = [block for block in blocks_of(message) if block["type"] == "tool_result"]
        self._results += [block["content"] for block in results]
        self._looked_up |= any(not block.get("is_error") for block in results)

    def end(self) -> None:
        """Print what was held back, on lines of its own."""
        held, self._held = self._held, ""
        if held:
            print(held, end="" if held.endswith("\n") else "\n", flush=True)

    def finish(self, facts: dict[str, Any]) -> None:
        """The answer where it was not streamed, then what it cost."""
        if self._form == "json" and not facts["incomplete"]:
            print(json.dumps(facts["answer"], ensure_ascii=False, indent=1))
        elif self._form == "markdown" and sys.stdout.isatty():
            from rich.markdown import Markdown

            self._console.print(Markdown(facts["answer"]))
        elif self._form == "markdown":
            print(facts["answer"])
        line = costs.line(facts, len(facts["calls"]))
        to_file = self._form == "markdown" and not sys.stdout.isatty()
        console = Console(stderr=True, highlight=False, markup=False) if to_file else self._console
        console.print(line, style="dim", soft_wrap=True)


@contextmanager
def progress(*, silent: bool) -> Iterator[Callable[[str], None] | None]:
    """A spinner on stderr with the last thing said beside it; nothing where nobody looks."""
    if silent or not sys.stderr.isatty():
        yield None
        return
    with Console(stderr=True).status("") as status:
        yield status.update

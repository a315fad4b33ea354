"""What a person sees while the loop runs: text as it comes, or every message; and the answer at the end.

Text streams, each turn of the model on lines of its own. Markdown and JSON appear when they are whole. The
cost of Markdown that goes into a file stays out of it. With
--json and --format json, stdout has the JSON and nothing else: the rest goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from step2_tools import costs, trace
from step2_tools.loop import Message


class Screen:
    """Hears what the loop says; `text` and `message` are its callbacks."""

    def __init__(self, form: str = "text", *, trace: bool = False, silent: bool = False) -> None:
        self._form, self._trace, self._silent = form, trace, silent
        self._console = Console(stderr=silent or form == "json", highlight=False, markup=False)
        self._open = False  # is there a line without its end?

    def text(self, text: str) -> None:
        """A piece of the model's text."""
        if text and self._form == "text" and not self._trace and not self._silent:
            print(text, end="", flush=True)
            self._open = not text.endswith("\n")

    def message(self, message: Message) -> None:
        """A turn, the model's or ours."""
        self.end()
        if self._trace:
            trace.show(message, self._console)

    def end(self) -> None:
        """End the line that is open, if one is."""
        if self._open:
            print(flush=True)
        self._open = False

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

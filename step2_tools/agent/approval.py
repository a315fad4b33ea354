"""A yes before a tool with effects: what the model asks for, the user decides.

    tool = NeedsApproval(FunctionTool(Alerts(path).create_price_alert), ask_user)
    tool.call({"symbol": "AAPL", "direction": "above", "price": 250})

    create_price_alert({"symbol": "AAPL", "direction": "above", "price": 250}): run it? [y/N]

Reading is free; writing a file, sending a message or spending money is not. The question stands in the tool's
own `call`, so that whatever runs the tool (our loop, the SDK's tool_runner) asks. Without a yes nothing runs,
and the model is told why. Unlike a sentence in the prompt, this holds whatever the model was talked into.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from anthropic.lib.tools import BetaFunctionTool, ToolError

from step2_tools.agent.tool import sanitize

Ask = Callable[[str], str]  # the question -> "" for yes, else why not, for the model to read


def ask_user(question: str) -> str:
    """Ask on the terminal; anything but y or yes is a no, and so is a terminal that isn't there."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "it needs the user's yes, and no terminal is there to ask on; the user can allow it with --yes"
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    yes = sys.stdin.readline().strip().lower() in ("y", "yes")
    return "" if yes else "the user said no; do not try it again"


def approve_all(_question: str) -> str:
    """`--yes`: the user has allowed everything beforehand."""
    return ""


class NeedsApproval(BetaFunctionTool[Callable[..., str]]):
    """A tool that runs only after a yes: before each call, or (`once`) one answer for all of its calls."""

    def __init__(
        self, tool: BetaFunctionTool[Any], ask: Ask, *, once: bool = False, origin: str = ""
    ) -> None:
        super().__init__(
            tool.func, name=tool.name, description=tool.description, input_schema=tool.input_schema
        )
        self.tool, self.once = tool, once
        self._ask = ask
        self._origin = f" ({origin})" if origin else ""
        self._refusal: str | None = None  # None: not asked yet

    def call(self, input: object) -> Any:
        """Ask, then run the tool.

        Raises:
            ToolError: it was not allowed, and why; or as the tool's own `call`.
        """
        if self._refusal is None or not self.once:
            arguments = sanitize(json.dumps(input, ensure_ascii=False, default=str), 2000)
            self._refusal = self._ask(f"{self.name}({arguments}){self._origin}: run it?")
        if self._refusal:
            raise ToolError(f"{self.name} was not run: {self._refusal}")
        return self.tool.call(input)

"""Approval for tools with effects: the model requests a call, the user allows it.

    tool = NeedsApproval(FunctionTool(Alerts(path).create_price_alert), ask_user)
    tool.call({"symbol": "AAPL", "direction": "above", "price": 250})

    create_price_alert({"symbol": "AAPL", "direction": "above", "price": 250}): run it? [y/N]

Tools that only read need no approval; writing a file, sending a message or spending money does. The question
is asked in the tool's `call`, so it is asked whatever runs the tool (our loop, the SDK's tool_runner).
Without a yes the tool doesn't run, and the model is told why. Unlike a sentence in the prompt, this always
holds, even if an injected text has misled the model.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from anthropic.lib.tools import BetaFunctionTool, ToolError

from step2_tools.agent.tool import sanitize

Ask = Callable[[str], str]  # question -> "" for yes, or the reason for a no, which the model reads


def ask_user(question: str) -> str:
    """Ask on the terminal. Any answer but y or yes means no; without a terminal the answer is no, too."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "it needs the user's yes, and no terminal is there to ask on; the user can allow it with --yes"
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    yes = sys.stdin.readline().strip().lower() in ("y", "yes")
    return "" if yes else "the user said no; do not try it again"


def approve_all(_question: str) -> str:
    """For `--yes`: the user has approved all calls in advance."""
    return ""


class NeedsApproval(BetaFunctionTool[Callable[..., str]]):
    """A tool that runs only after a yes: asked before each call, or only before the first one (`once`)."""

    def __init__(
        self, tool: BetaFunctionTool[Any], ask: Ask, *, once: bool = False, origin: str = ""
    ) -> None:
        super().__init__(
            tool.func, name=tool.name, description=tool.description, input_schema=tool.input_schema
        )
        self.tool = tool
        self.once = once
        self._ask = ask
        self._origin = f" ({origin})" if origin else ""
        self._refusal: str | None = None  # None: not asked yet

    def call(self, input: object) -> Any:
        """Ask, then run the tool.

        Raises:
            ToolError: the call was not approved (says why), or the tool's own error.
        """
        if self._refusal is None or not self.once:
            arguments = sanitize(json.dumps(input, ensure_ascii=False, default=str), 2000)
            self._refusal = self._ask(f"{self.name}({arguments}){self._origin}: run it?")
        if self._refusal:
            raise ToolError(f"{self.name} was not run: {self._refusal}")
        return self.tool.call(input)

"""Hold a conversation that keeps its history.

    $ python -m step2_tools chat
    > What is the weather in Bangkok?
    In Bangkok, Thailand it is 31 °C now, partly cloudy; wind 8 km/h.
    > And tomorrow?
    ...
    > /exit

/new clears the history. Ctrl-C stops an answer; at the prompt it ends the chat, as do Ctrl-D and /exit. The
whole history is sent with every turn. It changes only after a complete turn, so the chat can continue after a
turn that failed.
"""

import contextlib
import sys
import time
from typing import Any

from shared.cli import Console
from shared.config import Settings
from shared.errors import UserError
from step2_tools.cli import ask, costs
from step2_tools.cli.screen import Screen

HELP = "ask something; /new starts over; /exit, Ctrl-C or Ctrl-D ends the chat"


def run(settings: Settings, options: ask.Options, console: Console, *, traced: bool = False) -> None:
    """Hold a conversation until the user ends it.

    Raises:
        UserError: it can't start (no key, no such prompt). Later errors only end a turn.
    """
    with contextlib.suppress(ImportError):  # arrow keys and history at the prompt; not on Windows
        import readline  # noqa: F401
    with ask.assistant(settings, options) as assistant:
        history = list(assistant.examples)
        console.print(f"{settings.model}; {HELP}", style="dim", soft_wrap=True)
        while True:
            try:
                line = input("> ").strip()
            except (EOFError, KeyboardInterrupt):
                console.print()
                return
            if line == "/exit":
                return
            if line == "/new":
                history = list(assistant.examples)
                console.print("the history is empty", style="dim")
            elif line.startswith("/"):
                console.print(HELP, style="dim", soft_wrap=True)
            elif line:
                history = _turn(assistant, history, line, console, traced)


def _turn(
    assistant: ask.Assistant, history: list[Any], question: str, console: Console, traced: bool
) -> list[Any]:
    """Answer the question and return the new history; if the turn fails, the old one."""
    start = time.perf_counter()
    try:
        done = assistant.turn([*history, ask.user_turn(question)], Screen(trace=traced).message)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return history
    except KeyboardInterrupt:
        print("\nstopped; your question is not in the history", file=sys.stderr)
        return history
    cost = assistant.costs(done.usages, time.perf_counter() - start)
    console.print(costs.line(cost, len(done.calls)), style="dim", soft_wrap=True)
    ask.warn(ask.unreachable(done.calls), ask.why_incomplete(done.stop_reason, assistant.options))
    return done.messages

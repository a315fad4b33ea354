"""Hold a conversation that keeps its history.

    $ python -m step2_tools chat
    > What is the weather in Bangkok?
    In Bangkok, Thailand it is 31 °C now, partly cloudy; wind 8 km/h.
    > And tomorrow?
    ...
    > /exit

/new forgets the history. Ctrl-C stops an answer, at the prompt it ends the chat; so do Ctrl-D and /exit.
The history is what is sent, all of it, each time; it changes only when a turn is whole, so a turn that fails
leaves nothing half said behind, and the chat goes on.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from shared.config import Settings
from shared.errors import UserError
from step2_tools.cli import ask, costs
from step2_tools.cli.screen import Screen

if TYPE_CHECKING:
    from rich.console import Console

HELP = "ask something; /new starts over; /exit, Ctrl-C or Ctrl-D ends the chat"


def run(settings: Settings, options: ask.Options, console: Console, *, traced: bool = False) -> None:
    """Talk until the user has enough.

    Raises:
        UserError: it can't begin (no key, no such prompt). Later errors end a turn only.
    """
    with contextlib.suppress(ImportError):  # arrow keys and history at the prompt; not on Windows
        import readline  # noqa: F401
    with ask.assistant(settings, options) as who:
        history = list(who.examples)
        console.print(f"{settings.model}; {HELP}", style="dim", soft_wrap=True)
        while True:
            try:
                said = input("> ").strip()
            except (EOFError, KeyboardInterrupt):
                console.print()
                return
            if said == "/exit":
                return
            if said == "/new":
                history = list(who.examples)
                console.print("the history is empty", style="dim")
            elif said.startswith("/"):
                console.print(HELP, style="dim", soft_wrap=True)
            elif said:
                history = _turn(who, history, said, console, traced)


def _turn(who: ask.Assistant, history: list[Any], said: str, console: Console, traced: bool) -> list[Any]:
    """The history after this turn: as it was, where the turn fails."""
    start = time.perf_counter()
    try:
        done = who.turn([*history, ask.user_turn(said)], Screen(trace=traced).message)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return history
    except KeyboardInterrupt:
        print("\nstopped; it is as if you had not asked", file=sys.stderr)
        return history
    cost = who.costs(done.usages, time.perf_counter() - start)
    console.print(costs.line(cost, len(done.calls)), style="dim", soft_wrap=True)
    ask.warn(ask.unreachable(done.calls), ask.why_incomplete(done.stop_reason, who.options))
    return done.messages

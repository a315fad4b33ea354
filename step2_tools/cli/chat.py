"""A conversation that keeps its history.

    $ python -m step2_tools chat
    > What is the weather in Bangkok?
    In Bangkok, Thailand it is 31 °C now, partly cloudy; wind 8 km/h.
    > And tomorrow?
    ...
    > /exit

/new forgets the history; /trace shows every message from then on, and hides them again. Ctrl-C stops an
answer, at the prompt it ends the chat; so do Ctrl-D and /exit. The history is what is sent, all of it, each
time; it changes only when a turn is whole, so a turn that fails leaves nothing half said behind, and the
chat goes on.
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

HELP = "ask something; /new starts over; /trace shows or hides messages; /exit, Ctrl-C, Ctrl-D ends the chat"


def run(
    settings: Settings, options: ask.Options, console: Console, *, traced: bool = False
) -> dict[str, Any]:
    """Talk until the user has enough. Returns the facts of the whole conversation.

    Raises:
        UserError: it can't begin (no key, no such prompt). Later errors end a turn only.
    """
    with contextlib.suppress(ImportError):  # arrow keys and history at the prompt; not on Windows
        import readline  # noqa: F401
    with ask.assistant(settings, options) as who:
        return _talk(who, console, traced)


def _talk(who: ask.Assistant, console: Console, traced: bool) -> dict[str, Any]:
    settings, options = who.settings, who.options
    history, usages, n_calls, seconds = list(who.examples), [], 0, 0.0
    console.print(f"{settings.model}; {HELP}", style="dim", soft_wrap=True)
    while True:
        try:
            said = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            break
        if said == "/exit":
            break
        if said == "/new":
            history = list(who.examples)
            console.print("the history is empty", style="dim")
        elif said == "/trace":
            traced = not traced
            console.print(f"messages are {'shown' if traced else 'hidden'}", style="dim")
        elif said.startswith("/"):
            console.print(HELP, style="dim", soft_wrap=True)
        elif said:
            screen, start = Screen(trace=traced), time.perf_counter()
            try:
                done = who.turn([*history, ask.user_turn(said)], screen.text, screen.message)
            except UserError as error:
                screen.end()
                print(f"error: {error}", file=sys.stderr)
            except KeyboardInterrupt:
                print("\nstopped; it is as if you had not asked", file=sys.stderr)
            else:
                took = time.perf_counter() - start
                history, seconds = done.messages, seconds + took
                usages, n_calls = [*usages, *done.usages], n_calls + len(done.calls)
                line = costs.line(who.costs(done.usages, took), len(done.calls))
                console.print(line, style="dim", soft_wrap=True)
                if ask.unreachable(done.calls):
                    print(ask.HINT, file=sys.stderr)
                incomplete = ask.why_incomplete(done.stop_reason, options)
                if incomplete:
                    print(f"incomplete: {incomplete}", file=sys.stderr)
    facts = who.costs(usages, seconds)
    return {
        "command": "step2_tools chat",
        "headline": costs.line(facts, n_calls),
        "model": settings.model,
        "calls": n_calls,
        **facts,
        "messages": history,
    }


def show(facts: dict[str, Any], console: Console) -> None:
    """The sum of the conversation."""
    if facts["turns"]:
        console.print(f"in all: {facts['headline']}", style="dim", soft_wrap=True)

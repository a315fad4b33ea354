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

from shared.cli import Console, plain_console
from shared.config import Settings
from shared.errors import UserError
from step2_tools.cli.assistant import Assistant, Options, assistant
from step2_tools.cli.screen import Screen

with contextlib.suppress(ImportError):  # arrow keys and history at the prompt; not on Windows
    import readline  # noqa: F401

HELP = "ask something; /new starts over; /exit, Ctrl-C or Ctrl-D ends the chat"


def hold_conversation(settings: Settings, options: Options, *, traced: bool = False) -> None:
    """Hold a conversation until the user ends it.

    Raises:
        UserError: it can't start (no key, no such prompt). Later errors only end a turn.
    """
    with assistant(settings, options) as ready:
        console = plain_console()
        console.print(f"{settings.model}; {HELP}", style="dim", soft_wrap=True)
        _take_turns(ready, console, Screen(trace=traced))


def _take_turns(ready: Assistant, console: Console, screen: Screen) -> None:
    """Read and answer one line after the other."""
    history = ready.examples
    while True:
        try:
            line = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if line == "/exit":
            return
        if line == "/new":
            history = ready.examples
            console.print("the history is empty", style="dim")
        elif line.startswith("/"):
            console.print(HELP, style="dim", soft_wrap=True)
        elif line:
            try:
                report = ready.ask(history, line, screen.message)
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
            except KeyboardInterrupt:
                print("\nstopped; your question is not in the history", file=sys.stderr)
            else:
                history = report.messages
                screen.finish(report)
                screen.warn(report)

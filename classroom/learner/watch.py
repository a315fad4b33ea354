"""Run the public tests each time that a file is saved, and show what is next.

    forever(Starter.load(ROOT), console)

Files are looked at a few times a second, so that it works on every system and every kind of disk.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from classroom.learner import status
from classroom.learner.folder import Starter

if TYPE_CHECKING:
    from rich.console import Console

EVERY = 0.3  # s


def forever(starter: Starter, console: Console) -> None:
    """Until Ctrl-C."""
    seen = None
    while True:
        now = stamps(starter)
        if now != seen:
            seen = now
            console.rule(time.strftime("%H:%M:%S"), style="dim")
            status.show(starter, status.facts(starter, status.tried(starter)), console)
            console.print("\nwatching; Ctrl-C ends it", style="dim")
        time.sleep(EVERY)


def stamps(starter: Starter) -> dict[str, tuple[int, int]]:
    """When each file was written to, and its size."""
    found = {}
    for file in starter.code:
        try:
            facts = (starter.root / file).stat()
            found[file] = (facts.st_mtime_ns, facts.st_size)
        except OSError:
            continue  # an editor that saves by renaming, just now; or it was deleted
    return found

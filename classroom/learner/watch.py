"""Run the public tests each time that a file is saved, and show what is next.

    forever(Starter.load(ROOT))

Files are looked at a few times a second, so that it works on every system and every kind of disk. Each run is
a process of its own, which imports the files as they are now.
"""

from __future__ import annotations

import subprocess
import sys
import time

from classroom.learner.folder import Starter

EVERY = 0.3  # s


def forever(starter: Starter) -> None:
    """Until Ctrl-C."""
    seen = None
    while True:
        now = stamps(starter)
        if now != seen:
            seen = now
            print(f"--- {time.strftime('%H:%M:%S')}", flush=True)
            subprocess.run([sys.executable, "-m", "classroom", "status"], cwd=starter.root)
            print("\nwatching; Ctrl-C ends it", flush=True)
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

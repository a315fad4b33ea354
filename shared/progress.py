"""Progress bars on stderr, so that stdout holds only the command's answer.

Where stderr is not a terminal, a line announces the work, and every ten seconds another reports progress:

    reading 400 files
    reading 400 files: 120 of 400
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL = 10.0  # seconds between two lines where stderr is not a terminal


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Show `text` and the time, for work of unknown length."""
    with count_bar(text):
        yield


@contextmanager
def stage_bar(text: str, stages: int) -> Iterator[Callable[[str], None]]:
    """A bar of stages; call what it yields with the name of each stage as it begins."""
    finished = itertools.count()
    with count_bar(text, stages) as update:
        yield lambda stage: update(next(finished), stages, stage)


@contextmanager
def count_bar(text: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar of things done; call what it yields with (done so far, total[, a note to show beside them])."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield _lines(text)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(20), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done, total, note="": progress.update(
            task, completed=done, total=total, description=f"{text}: {_so_far(done, total, note)}"
        )


def _lines(text: str) -> Callable[..., None]:
    """Print `text`; what is returned prints how far it is, at most every INTERVAL seconds."""
    print(text, file=sys.stderr)
    printed = time.monotonic()

    def update(done: int, total: int, note: str = "") -> None:
        nonlocal printed
        if time.monotonic() - printed >= INTERVAL:
            printed = time.monotonic()
            print(f"{text}: {_so_far(done, total, note)}", file=sys.stderr)

    return update


def _so_far(done: int, total: int, note: str) -> str:
    return f"{done} of {total} {note}".rstrip()

"""Progress on stderr, so that stdout stays the command's answer. Silent where stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Show `text` and the seconds that passed, for work of unknown length."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        console.print(text, highlight=False, soft_wrap=True)
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(text)
        yield


@contextmanager
def stage_bar(text: str, stages: int) -> Iterator[Callable[[str], None]]:
    """A bar of `stages` steps; call what it yields with the name of the step that begins."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        console.print(text, highlight=False, soft_wrap=True)
        yield lambda _stage: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=stages, completed=-1)
        yield lambda stage: progress.update(task, description=f"{text}: {stage}", advance=1)


@contextmanager
def byte_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A download bar; call what it yields with (bytes so far, bytes in all)."""
    from rich.progress import DownloadColumn, TransferSpeedColumn

    with _bar(text, DownloadColumn(), TransferSpeedColumn()) as update:
        yield update


@contextmanager
def count_bar(text: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar of things done; call what it yields with (done so far, all)."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    with _bar(text, MofNCompleteColumn(), TimeRemainingColumn(), total=total) as update:
        yield update


@contextmanager
def loss_bar(text: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar of training steps; call what it yields with (steps so far, all, what to say beside it)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        console.print(text, highlight=False, soft_wrap=True)
        yield lambda _done, _total, _said: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total, said: progress.update(
            task, completed=done, total=total, description=f"{text}: {said}"
        )


@contextmanager
def _bar(text: str, *columns: Any, total: int | None = None) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        console.print(text, highlight=False, soft_wrap=True)
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), *columns)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done, total: progress.update(task, completed=done, total=total)

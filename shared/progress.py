"""Progress bars on stderr; stdout is for the command's output only.

If stderr is not a terminal, one line announces the work.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Update(Protocol):
    """Tells a progress bar how much is done; the note is shown after the numbers."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None: ...


def track(text: str, items: Sequence[T], note: Callable[[T], str] = lambda _item: "") -> Iterator[T]:
    """The items, with a progress bar over the loop that takes them; `note` names the current one."""
    with count_bar(text, len(items)) as update:
        for done, item in enumerate(items):
            update(done, len(items), note(item))
            yield item


@contextmanager
def count_bar(text: str, total: int | None = None) -> Iterator[Update]:
    """A progress bar; call the yielded function when some of the work is done."""
    if not (sys.stderr and sys.stderr.isatty()):  # None when it was closed
        print(text, file=sys.stderr)
        yield _ignore
        return
    # Here, since command lines import this module, and their --help shows no bar.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,  # leaves nothing on the terminal
    ) as progress:
        task = progress.add_task(text, total=total)

        def update(done: int, total: int, note: str = "") -> None:
            description = f"{text}: {done} of {total} {note}".rstrip()
            progress.update(task, completed=done, total=total, description=description)

        yield update


def _ignore(_done: int, _total: int, _note: str = "") -> None:
    """An `Update` where no bar is shown."""


spinner = count_bar  # for work of unknown length: `text` and the elapsed time

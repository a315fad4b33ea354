"""Progress bars on stderr; stdout is for the command's output only.

If stderr is not a terminal, one line announces the work.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")


def track(text: str, items: Sequence[T], note: Callable[[T], str] = lambda _item: "") -> Iterator[T]:
    """The items, with a progress bar over the loop that takes them; `note` names the current one."""
    with count_bar(text, len(items)) as update:
        for done, item in enumerate(items):
            update(done, len(items), note(item))
            yield item


@contextmanager
def count_bar(text: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A progress bar; call the yielded function with (number done, total[, a note to show])."""
    if not (sys.stderr and sys.stderr.isatty()):
        print(text, file=sys.stderr)
        yield lambda *_args: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(20), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=total)

        def update(done: int, total: int, note: str = "") -> None:
            description = f"{text}: {done} of {total} {note}".rstrip()
            progress.update(task, completed=done, total=total, description=description)

        yield update


spinner = count_bar  # for work of unknown length: `text` and the elapsed time

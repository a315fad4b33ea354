"""Run the public tests of what was changed, each time that a file is saved, and show what is next.

    forever(Starter.load(ROOT), console)

Files are looked at a few times a second, so that it works on every system and every kind of disk. A save
during a run ends that run, which also frees who has written an endless loop.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from classroom.learner import status
from classroom.learner.folder import Exercise, Starter
from classroom.learner.trial import LocalOutcome

if TYPE_CHECKING:
    from rich.console import Console

EVERY = 0.3  # s
Stamps = dict[str, tuple[int, int]]


def forever(starter: Starter, console: Console) -> None:
    """Until Ctrl-C."""
    outcomes: dict[str, LocalOutcome] = {}
    seen, waiting = stamps(starter), set(starter.exercises)
    facts = _round(starter, outcomes, waiting, seen, console)
    if facts is not None:
        status.show(starter, facts, console)
    console.print("\nwatching; Ctrl-C ends it", style="dim")
    while True:
        before, seen = seen, settled(starter, seen)
        changed = [file for file in starter.code if before.get(file) != seen.get(file)]
        waiting |= set(concerned(starter, changed, outcomes))
        console.rule(f"{time.strftime('%H:%M:%S')} {', '.join(changed[:3])}", style="dim")
        facts = _round(starter, outcomes, waiting, seen, console)
        if facts is not None:
            show(starter, facts, changed, console)


def _round(
    starter: Starter,
    outcomes: dict[str, LocalOutcome],
    waiting: set[Exercise],
    seen: Stamps,
    console: Console,
) -> dict[str, Any] | None:
    """Run what waits; None if something was saved meanwhile, and it goes on waiting."""
    if problems := starter.problems():
        for problem in problems:
            console.print(str(problem), style="bold red", soft_wrap=True)
        return None
    got = status.tried(starter, sorted(waiting, key=starter.exercises.index), lambda: stamps(starter) != seen)
    if got is None:
        return None
    for line in (line for each in waiting for line in each.public):
        outcomes.pop(line.test, None)
    waiting.clear()
    outcomes |= got
    return status.facts(starter, outcomes)


def stamps(starter: Starter) -> Stamps:
    """When each file was written to, and its size."""
    found = {}
    for file in starter.code:
        try:
            facts = (starter.root / file).stat()
            found[file] = (facts.st_mtime_ns, facts.st_size)
        except OSError:
            continue  # an editor that saves by renaming, just now; or it was deleted
    return found


def settled(starter: Starter, before: Stamps) -> Stamps:
    """Wait until something is different, and then stays as it is for a moment."""
    now = before
    while True:
        time.sleep(EVERY)
        last, now = now, stamps(starter)
        if now == last != before:
            return now


def concerned(starter: Starter, changed: Iterable[str], outcomes: dict[str, LocalOutcome]) -> list[Exercise]:
    """Whose tests are to be run: of the exercises in these files, and of those that waited for another.

    Where something else was changed, all may be concerned.
    """
    changed = set(changed)
    if changed - {file for each in starter.exercises for file in each.files}:
        return list(starter.exercises)
    needing = {test for test, each in outcomes.items() if each.cause.startswith("needs ")}
    return [
        each
        for each in starter.exercises
        if changed & set(each.files) or needing & {line.test for line in each.public}
    ]


def show(starter: Starter, facts: dict[str, Any], changed: list[str], console: Console) -> None:
    """The exercises by their states, and what is next: what fails in the changed files comes first."""
    for state, style in status.STYLES.items():
        if ids := [each["id"] for each in facts["exercises"] if each["state"] == state]:
            console.print(f"{state + ':':<14} {'  '.join(ids)}", style=style, soft_wrap=True)
    status.show_points(facts, console)
    here = {each.id for each in starter.exercises if set(each.files) & set(changed)}
    failing = (e["id"] for e in facts["exercises"] if e["id"] in here and e["state"] == "failing")
    status.show_next(starter, facts, next(failing, facts["next"]), console)

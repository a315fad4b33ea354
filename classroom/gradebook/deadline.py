"""Deadlines: late submissions are marked and their seconds counted. Taking points is up to the instructor.

>>> due = parse("2026-12-01T23:59+01:00")
>>> seconds_late(datetime.fromisoformat("2026-12-02T00:01:30+01:00"), due)
150
"""

from __future__ import annotations

import csv
import math
from datetime import datetime, time
from pathlib import Path

from shared.errors import UserError, reason


def parse(text: str, what: str = "--deadline") -> datetime:
    """A deadline: with its own time zone, or in this machine's. A date alone means the end of that day.

    Raises:
        UserError: it is not a time.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        if len(text.strip()) <= len("2026-12-01"):
            moment = datetime.combine(moment.date(), time(23, 59, 59))
        return moment.astimezone()
    except (ValueError, OverflowError, OSError):
        raise UserError(
            f"{what} {text[:60]!r} is not a time: write it like 2026-12-01T23:59 or 2026-12-01T23:59+01:00"
        ) from None


class Deadlines:
    """The deadline of each learner: that of the class, or an extended one."""

    def __init__(self, deadline: datetime | None, step: str, extensions: Path | None = None) -> None:
        """`extensions` is a CSV file: learner, step, new deadline; its first line may be a header.

        A learner goes by the name in class.csv.

        Raises:
            UserError: the file can't be read, or a line of it is wrong.
        """
        self._deadline = deadline
        self._own: dict[str, datetime] = {}
        self._used: set[str] = set()
        for number, row in enumerate(_rows(extensions) if extensions else [], 1):
            if not row or (number == 1 and row[0].strip().lower() == "learner"):
                continue
            where = f"{extensions}, line {number}:"
            if len(row) != 3:
                raise UserError(f"{where} learner, step, new deadline; not {len(row)} cells")
            learner, for_step, when = (each.strip() for each in row)
            if step in (for_step, f"step{for_step}"):
                self._own[learner.casefold()] = parse(when, where)

    def of(self, name: str) -> datetime | None:
        """The deadline of the learner with this name."""
        self._used.add(name.casefold())
        return self._own.get(name.casefold(), self._deadline)

    def unknown(self) -> list[str]:
        """Learners with an extension who handed nothing in under that name."""
        return sorted(set(self._own) - self._used)


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} can't be read: {reason(error)}") from None


def seconds_late(submitted: datetime | None, deadline: datetime | None) -> int | None:
    """Whole seconds after the deadline, 0 if it was kept, None if one of the two is unknown."""
    if submitted is None or deadline is None:
        return None
    return max(0, math.ceil((submitted - deadline).total_seconds()))

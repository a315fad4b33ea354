"""Deadlines: late submissions are marked and their seconds counted. Taking points is up to the instructor.

>>> due = parse("2026-12-01T23:59+01:00")
>>> seconds_late(datetime.fromisoformat("2026-12-02T00:01:30+01:00"), due)
150
"""

import csv
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, time
from pathlib import Path

from classroom.gradebook.roster import Person, folded
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


def extended(path: Path, step: str) -> dict[str, datetime]:
    """The extended deadlines of a step by learner, from a CSV file: learner, step, new deadline.

    A learner goes by id or name as in class.csv, or by login or e-mail, here folded. The first line may be a
    header.

    Raises:
        UserError: the file can't be read, or a line of it is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} can't be read: {reason(error)}") from None
    found = {}
    for number, row in enumerate(rows, 1):
        if not row or (number == 1 and row[0].strip().lower() == "learner"):
            continue
        where = f"{path}, line {number}:"
        if len(row) != 3:
            raise UserError(f"{where} learner, step, new deadline; not {len(row)} cells")
        learner, for_step, when = (each.strip() for each in row)
        if step in (for_step, f"step{for_step}"):
            found[folded(learner)] = parse(when, where)
    return found


def by_person(
    extensions: Mapping[str, datetime], people: Iterable[Person]
) -> tuple[dict[str, datetime], list[str]]:
    """The deadlines by the keys of people, and the learners of the extensions who are nobody, or several."""
    people = [*people]
    found: dict[str, datetime] = {}
    unknown = []
    for learner, when in extensions.items():
        matches = {person.key: person for person in people if learner in person.handles}
        if len(matches) == 1:
            found |= dict.fromkeys(matches, when)
        elif matches:
            labels = ", ".join(sorted(person.label for person in matches.values()))
            unknown.append(f"{learner} (several people: {labels})")
        else:
            unknown.append(learner)
    return found, sorted(unknown)


def seconds_late(submitted: datetime | None, deadline: datetime | None) -> int | None:
    """Whole seconds after the deadline, 0 if it was kept, None if one of the two is unknown."""
    if submitted is None or deadline is None:
        return None
    return max(0, math.ceil((submitted - deadline).total_seconds()))

"""Who was late: flagged and counted, nothing more. What lateness costs is for the instructor to say.

>>> due = parse("2026-12-01T23:59+01:00")
>>> seconds_late(datetime.fromisoformat("2026-12-02T00:01:30+01:00"), due)
150
"""

from __future__ import annotations

import math
from datetime import datetime, time

from shared.errors import UserError


def parse(text: str) -> datetime:
    """A deadline: with its own time zone, or in this machine's. A date alone means the end of that day.

    Raises:
        UserError: it is no time.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        if len(text.strip()) <= len("2026-12-01"):
            moment = datetime.combine(moment.date(), time(23, 59, 59))
        return moment.astimezone()
    except (ValueError, OverflowError, OSError):
        raise UserError(
            f"--deadline {text[:60]!r} is no time: write it like 2026-12-01T23:59 or 2026-12-01T23:59+01:00"
        ) from None


def seconds_late(submitted: datetime | None, deadline: datetime | None) -> int | None:
    """Whole seconds after the deadline, 0 where it was kept, None where one of the two is unknown."""
    if submitted is None or deadline is None:
        return None
    return max(0, math.ceil((submitted - deadline).total_seconds()))

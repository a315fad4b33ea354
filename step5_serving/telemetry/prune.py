"""Retention: calls that are older than so long go, with what was asked and answered, and texts nobody uses.

    $ python -m step5_serving telemetry prune --older-than 30d
    4,211 calls, 380 passages and 2 prompts deleted; 12,004 calls stay

In steps of some thousand calls, so that a running service waits milliseconds for its turn and not seconds.
Passages and prompts go once they were not seen for a day longer than calls are kept (sinks.py says why).
SQLite keeps the freed pages for later rows: the file doesn't shrink.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from shared.errors import UserError
from step5_serving.telemetry.call import now
from step5_serving.telemetry.schema import calls, iso, microseconds, prompts, texts
from step5_serving.telemetry.store import Store, why

STEP = 2000
LONGER = timedelta(days=1)  # that texts stay


def prune(store: Store, older_than: timedelta, *, at: datetime | None = None) -> dict[str, Any]:
    """Delete what is older; returns how many rows of each table went, and how many calls stay.

    Raises:
        UserError: the database is locked, or can't be written.
    """
    cutoff = (at or now()) - older_than
    oldest = sa.select(calls.c.id).where(calls.c.started_us < microseconds(cutoff)).limit(STEP)
    unseen = microseconds(cutoff - LONGER)

    def delete(table: sa.Table, where: Any) -> int:
        with store.writing() as connection:
            return connection.execute(sa.delete(table).where(where)).rowcount

    try:
        deleted = 0
        while some := delete(calls, calls.c.id.in_(oldest)):  # with their bodies and feedback
            deleted += some
        passages, templates = (delete(table, table.c.seen_us < unseen) for table in (texts, prompts))
        [[[left]]] = store.read(sa.select(sa.func.count()).select_from(calls))
    except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise UserError(f"telemetry in {store.name} cannot be pruned: {why(error)}") from None
    gone = {"calls": deleted, "passages": passages, "prompts": templates}
    return {"before": iso(microseconds(cutoff)), **gone, "left": left}

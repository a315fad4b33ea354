"""Requests that were turned away before they became a call: counted by minute, route and status; no rows.

A row for each would let anybody fill the disk who has no key. Requests that were turned away because there
was too much to do (429, 503) are calls of somebody who may ask, and have rows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from step5_serving.telemetry.schema import refusals
from step5_serving.telemetry.store import Store

MINUTE = 60_000_000  # microseconds


def add_refusals(store: Store, counts: Mapping[tuple[str, int], int]) -> None:
    """Add counts by (route, status) to those of this minute.

    Raises:
        SQLAlchemyError: the database can't be written.
    """
    minute = time.time_ns() // 1000 // MINUTE * MINUTE
    rows: list[dict[str, Any]] = [
        {"minute_us": minute, "route": route[:100], "status": status, "count": count}
        for (route, status), count in sorted(counts.items())
    ]
    insert: Any = (sqlite if store.file else postgresql).insert(refusals)
    added = {"count": refusals.c.count + insert.excluded.count}
    with store.writing() as connection:
        if rows:
            connection.execute(
                insert.on_conflict_do_update(index_elements=["minute_us", "route", "status"], set_=added),
                rows,
            )


def refusals_since(begin: int, end: int) -> Any:
    """A SELECT of route, status and count between two times, in microseconds, to the minute."""
    within = refusals.c.minute_us.between(begin // MINUTE * MINUTE, end)
    count = sa.func.sum(refusals.c.count).label("count")
    grouped = sa.select(refusals.c.route, refusals.c.status, count).where(within)
    return grouped.group_by(refusals.c.route, refusals.c.status).order_by(count.desc(), refusals.c.route)

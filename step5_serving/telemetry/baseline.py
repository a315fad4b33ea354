"""The values of a time, and those of a better time kept in a file: what `report` compares.

    $ python -m step5_serving report --since 7d --baseline baseline.json --save-baseline

The file keeps values, not means, up to 2,000 of each kind: a difference can have an interval only where both
sides can be drawn anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.errors import UserError
from step5_serving.telemetry.call import now
from step5_serving.telemetry.schema import calls, iso, microseconds
from step5_serving.telemetry.store import Store

FORMAT = 1
KEPT = 2000  # values of each kind in a baseline
READ = 20_000  # rows that are looked at for the intervals; of more, every nth
FEWEST = 20
COLUMNS = ("total_ms", "first_token_ms", "cost_usd", "error", "confidence", "abstained")
Window = Mapping[str, Sequence[float]]  # values by column, in the order of the calls
c = calls.c


def window(store: Store, since: timedelta, at: datetime | None = None) -> dict[str, list[float]]:
    """The values of the calls of a time; unknown ones are left out, latencies only of answered calls."""
    end = microseconds(at or now())
    within = sa.and_(c.started_us > end - round(since.total_seconds() * 1e6), c.started_us <= end)
    [[[count]]] = store.read(sa.select(sa.func.count()).where(within))
    every = max(1, -(-count // READ))
    answered = c.http_response_status_code < 400
    statement = sa.select(
        sa.case((answered, c.total_ms)).label("total_ms"),
        sa.case((answered, c.first_token_ms)).label("first_token_ms"),
        sa.case((answered, c.cost_usd)).label("cost_usd"),
        sa.case((c.http_response_status_code >= 500, 1.0), else_=0.0).label("error"),
        c.confidence,
        sa.case((answered, sa.case((c.abstained.is_(True), 1.0), else_=0.0))).label("abstained"),
    ).where(within, c.id % every == 0)
    [rows] = store.read(statement.order_by(c.id))
    return {
        name: [float(value) for row in rows if (value := getattr(row, name)) is not None] for name in COLUMNS
    }


def save_baseline(store: Store, since: timedelta, path: Path, at: datetime | None = None) -> dict[str, Any]:
    """Write the values of now as what later reports are held against.

    Raises:
        UserError: there is nothing to compare with, or the file can't be written.
    """
    at = at or now()
    values = window(store, since, at)
    count = len(values["error"])
    if count < FEWEST:
        raise UserError(f"{count} calls are too few for a baseline: {FEWEST} at least, or a longer --since")
    saved = {
        "format": FORMAT,
        "since": iso(microseconds(at - since)),
        "until": iso(microseconds(at)),
        "calls": count,
        "values": {name: _thin(each) for name, each in values.items()},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(saved), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return saved


def read_baseline(path: Path) -> dict[str, Any]:
    """A baseline that was saved.

    Raises:
        UserError: there is none, or the file is another one.
    """
    saved: Any = None
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "make it with --save-baseline" if isinstance(error, FileNotFoundError) else "choose another"
        raise UserError(f"cannot read the baseline {path}: {error.strerror}; {hint}") from None
    except ValueError:
        pass
    if not _is_baseline(saved):
        raise UserError(f"{path} is no baseline of this program: make one with --save-baseline")
    return dict(saved)


def _is_baseline(saved: Any) -> bool:
    try:
        lists = [saved["values"][name] for name in COLUMNS]
        return (
            saved["format"] == FORMAT
            and isinstance(saved["calls"], int)
            and isinstance(saved["until"], str)
            and all(isinstance(each, int | float) for values in lists for each in values)
        )
    except (KeyError, TypeError):
        return False


def _thin(values: Sequence[float]) -> list[float]:
    """Every nth, so that the file stays small."""
    step = max(1, -(-len(values) // KEPT))
    return [float(f"{each:.6g}") for each in values[::step]]

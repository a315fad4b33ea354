"""The values of a time, and those of a better time kept in a file: what `report` compares.

    $ python -m step5_serving report --since 7d --baseline baseline.json --save-baseline

The file keeps values, not means, up to 2,000 of each kind: a difference can have an interval only where both
sides can be drawn anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError

from shared.errors import UserError
from step5_serving.telemetry.call import now
from step5_serving.telemetry.schema import calls, iso, microseconds
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.summary import ANSWERED, ERROR

KEPT = 2000  # values of each kind in a baseline
READ = 20_000  # rows that are looked at for the intervals; of more, every nth
FEWEST = 20
Window = Mapping[str, Sequence[float]]  # values by column, in the order of the calls
c = calls.c


class Baseline(BaseModel):
    """The file; `values` are those of `window`."""

    format: Literal[1] = 1
    since: str
    until: str
    calls: int
    values: dict[str, list[float]]


def window(store: Store, since: timedelta, at: datetime | None = None) -> dict[str, list[float]]:
    """The values of the calls of a time; unknown ones are left out, latencies only of answered calls.

    error      1 for a call that failed by the service
    abstained  1 for an answered call that says: I don't know
    """
    end = microseconds(at or now())
    within = sa.and_(c.started_us > end - round(since.total_seconds() * 1e6), c.started_us <= end)
    [[[count]]] = store.read(sa.select(sa.func.count()).where(within))
    every = max(1, -(-count // READ))
    columns = {
        "total_ms": sa.case((ANSWERED, c.total_ms)),
        "first_token_ms": sa.case((ANSWERED, c.first_token_ms)),
        "cost_usd": sa.case((ANSWERED, c.cost_usd)),
        "error": sa.case((ERROR, 1.0), else_=0.0),
        "confidence": c.confidence,
        "abstained": sa.case((ANSWERED, sa.case((c.abstained.is_(True), 1.0), else_=0.0))),
    }
    labelled = (column.label(name) for name, column in columns.items())
    [rows] = store.read(sa.select(*labelled).where(within, c.id % every == 0).order_by(c.id))
    return {
        name: [float(row[name]) for row in (r._mapping for r in rows) if row[name] is not None]
        for name in columns
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
    times = {"since": iso(microseconds(at - since)), "until": iso(microseconds(at))}
    step = max(1, -(-count // KEPT))  # every nth, so that the file stays small
    thin = {name: [float(f"{each:.6g}") for each in some[::step]] for name, some in values.items()}
    saved = Baseline(**times, calls=count, values=thin)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(saved.model_dump_json(), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return saved.model_dump()


def read_baseline(path: Path) -> dict[str, Any]:
    """A baseline that was saved.

    Raises:
        UserError: there is none, or the file is another one.
    """
    try:
        return Baseline.model_validate_json(path.read_bytes()).model_dump()
    except OSError as error:
        hint = "make it with --save-baseline" if isinstance(error, FileNotFoundError) else "choose another"
        raise UserError(f"cannot read the baseline {path}: {error.strerror}; {hint}") from None
    except ValidationError:
        raise UserError(f"{path} is not a baseline of this program: make one with --save-baseline") from None

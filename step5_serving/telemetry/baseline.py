"""The values of a time, and those of a better time kept in a file: what `report` compares.

    $ python -m step5_serving report --since 7d --baseline baseline.json --save-baseline

The file keeps values, not means: a difference can have an interval only where both sides can be drawn anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError

from shared.errors import UserError
from step5_serving.telemetry.call import now
from step5_serving.telemetry.schema import calls, iso, microseconds
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.summary import ANSWERED, ERROR

KEPT = 2000  # values of each kind in a baseline, the latest
READ = 20_000  # the latest calls of a time, which are looked at
FEWEST = 20
Window = Mapping[str, Sequence[float]]  # values by column, the latest first
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
    columns = {
        "total_ms": sa.case((ANSWERED, c.total_ms)),
        "first_token_ms": sa.case((ANSWERED, c.first_token_ms)),
        "cost_usd": sa.case((ANSWERED, c.cost_usd)),
        "error": sa.case((ERROR, 1.0), else_=0.0),
        "confidence": c.confidence,
        "abstained": sa.case((ANSWERED, sa.case((c.abstained.is_(True), 1.0), else_=0.0))),
    }
    within = c.started_us.between(end - round(since.total_seconds() * 1e6), end)
    [rows] = store.read(sa.select(*columns.values()).where(within).order_by(c.id.desc()).limit(READ))
    by_column = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return {
        name: [float(value) for value in values if value is not None]
        for name, values in zip(columns, by_column, strict=True)
    }


def save_baseline(store: Store, since: timedelta, path: Path, at: datetime | None = None) -> Baseline:
    """Write the values of now as what later reports are held against.

    Raises:
        UserError: there is nothing to compare with, or the file can't be written.
    """
    at = at or now()
    values = window(store, since, at)
    count = len(values["error"])
    if count < FEWEST:
        raise UserError(f"{count} calls are too few for a baseline: {FEWEST} at least, or a longer --since")
    saved = Baseline(
        since=iso(microseconds(at - since)),
        until=iso(microseconds(at)),
        calls=count,
        values={name: each[:KEPT] for name, each in values.items()},
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(saved.model_dump_json(), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return saved


def read_baseline(path: Path) -> Baseline:
    """A baseline that was saved.

    Raises:
        UserError: there is none, or the file is another one.
    """
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"cannot read the baseline {path}: {error.strerror}; make it with --save-baseline"
        ) from None
    except ValidationError:
        raise UserError(f"{path} is not a baseline of this program: make one with --save-baseline") from None

"""The operator's report: the calls of a period against those of the period before it.

    $ python -m step5_serving report --since 24h --before 7d
    p95, ms      1,840   1,210   +630 (+420 to +800)   slower
    ...
    exit code 1: something got worse

A difference is a regression if its whole 95 % interval (bootstrap, resampling both sides) is on the bad side
and it exceeds `--tolerance` times the earlier figure. With fewer than twenty values nothing is claimed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from shared.stats import nearest_rank
from step5_serving.telemetry.schema import calls, microseconds
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.summary import ANSWERED, ERROR

DRAWS = 1000
FEWEST = 20  # values for a claim
MOST = 20_000  # calls of a period, the latest
Window = Mapping[str, Sequence[float]]  # values by column, the latest first
c = calls.c
COLUMNS = {  # NULLs are left out: unknown values, and times and costs of calls that were not answered
    "total_ms": sa.case((ANSWERED, c.total_ms)),
    "first_token_ms": sa.case((ANSWERED, c.first_token_ms)),
    "cost_usd": sa.case((ANSWERED, c.cost_usd)),
    "error": sa.case((ERROR, 1.0), else_=0.0),
    "confidence": c.confidence,
    "abstained": sa.case((ANSWERED, sa.case((c.abstained.is_(True), 1.0), else_=0.0))),
}


@dataclass(frozen=True)
class Measure:
    """A figure of a window: from which values it is computed, how, and which direction is bad."""

    name: str
    title: str
    of: str  # column of Window
    percent: int | None  # percentile; None: the mean
    worse: str  # word for a regression
    up_is_bad: bool = True
    digits: int = 0


MEASURES = (
    Measure("p50_ms", "p50, ms", "total_ms", 50, "slower"),
    Measure("p95_ms", "p95, ms", "total_ms", 95, "slower"),
    Measure("first_token_p95_ms", "first token p95, ms", "first_token_ms", 95, "slower"),
    Measure("cost_usd", "cost a call, USD", "cost_usd", None, "dearer", digits=6),
    Measure("error_rate", "error rate", "error", None, "more errors", digits=4),
    Measure("confidence", "mean confidence", "confidence", None, "less sure", up_is_bad=False, digits=3),
    Measure("abstained", "share of: I don't know", "abstained", None, "more silence", digits=3),
)


def window(store: Store, since: timedelta, end: datetime) -> dict[str, list[float]]:
    """The values of the latest calls of the period `since` before `end`, by column."""
    began = c.started_us.between(microseconds(end - since), microseconds(end) - 1)
    [rows] = store.read(sa.select(*COLUMNS.values()).where(began).order_by(c.id.desc()).limit(MOST))
    return {
        name: [float(row[place]) for row in rows if row[place] is not None]
        for place, name in enumerate(COLUMNS)
    }


def report(values: Window, before: Window, tolerance: float = 0.1) -> dict[str, Any]:
    """Every figure of a window with its interval, and in `worse` a line for each regression.

    Args:
        tolerance: differences up to this share of the earlier figure are ignored.
    """
    rows, worse = {}, []
    for measure in MEASURES:
        row = rows[measure.name] = _row(measure, values, before, tolerance)
        if row.get("regressed"):
            now, then = (f"{row[each]:,.{measure.digits}f}" for each in ("value", "baseline"))
            worse.append(f"{measure.title} is {now}, {measure.worse} than the {then} before")
    counts = {name: len(each["error"]) for name, each in {"calls": values, "calls_before": before}.items()}
    return {
        "command": "step5_serving report",
        "headline": worse[0] if worse else f"calls: {counts['calls']}, nothing is worse",
        **counts,
        "worse": worse,
        "measures": rows,
        "tolerance": tolerance,
    }


def _row(measure: Measure, values: Window, before: Window | None, tolerance: float) -> dict[str, Any]:
    """A figure of the window, compared with the same figure of `before` (the baseline).

    n, value        the number of values of the measure in `values`, and their `_figure`
    interval_95     the `_interval` of their `_draws`; None if there are too few values for draws
    baseline        the `_figure` of the measure's values in `before`; this key and those below exist only if
                    there are such values
    difference      value - baseline; this key and those below exist only if both sides have draws
    difference_95   the `_interval` of the difference of the draws; those of the baseline take seed 1, so that
                    the two sides are drawn differently
    regressed       a bool: whether all of `difference_95` is on the side that is bad for this measure (zero
                    is not bad), and the difference goes there by more than `tolerance` times the baseline's
                    absolute value
    """
    ### BEGIN SOLUTION 5.5: A regression
    mine = values[measure.of]
    row: dict[str, Any] = {"n": len(mine), "value": _figure(measure, mine), "interval_95": None}
    draws = _draws(measure, mine)
    if draws is not None:
        row["interval_95"] = _interval(draws)
    theirs = before.get(measure.of) if before else None
    if not theirs:
        return row
    row["baseline"] = _figure(measure, theirs)
    other = _draws(measure, theirs, seed=1)
    if draws is None or other is None or row["value"] is None:
        return row
    difference = row["value"] - row["baseline"]
    low, high = _interval(draws - other)
    row |= {"difference": difference, "difference_95": [low, high]}
    sign = 1 if measure.up_is_bad else -1
    surely = min(sign * low, sign * high) > 0
    row["regressed"] = surely and sign * difference > tolerance * abs(row["baseline"])
    return row
    ### END SOLUTION


def _figure(measure: Measure, values: Sequence[float]) -> float | None:
    """The mean, or the percentile by nearest rank, as in the summary."""
    if measure.percent is not None:
        return nearest_rank(values, measure.percent)
    return sum(values) / len(values) if values else None


def _draws(measure: Measure, values: Sequence[float], seed: int = 0) -> Any:
    """The figure of `DRAWS` resamples (Efron 1979), shape (DRAWS,); None for too few values."""
    import numpy as np

    n, random = len(values), np.random.default_rng(seed)
    if n < FEWEST:
        return None
    data = np.asarray(values, dtype=float)
    samples = (data[random.integers(n, size=n)] for _ in range(DRAWS))
    if measure.percent is None:
        return np.array([sample.mean() for sample in samples])
    rank = (measure.percent * n + 99) // 100  # from 1, as in the summary
    return np.array([np.partition(sample, rank - 1)[rank - 1] for sample in samples])


def _interval(draws: Any) -> list[float]:
    import numpy as np

    return [float(each) for each in np.percentile(draws, [2.5, 97.5], method="inverted_cdf")]

"""What happened since a point in time: counts, money, percentiles by stage, by prompt version, over time.

    >>> summarize(store, parse_since("24h"))["latency_ms"]["total"]
    {'p50': 41.5, 'p95': 97.2}

The databases do the counting, with the same statements on SQLite and Postgres. A percentile is the nearest
rank, as everywhere in this step (shared.stats.nearest_rank), so it is always a value that was measured.
Latency is that of answered calls: a refusal takes no time and would make a service that refuses look fast.
An error is a call that failed by the service (5xx), lost ones too; what the caller got wrong, or had too much
of (4xx), is counted as refused. A cost that is unknown is counted as such and adds nothing to the sum.
Requests that never became a call (no key, a wrong body) are in /metrics, not here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from shared.errors import UserError
from step5_serving.telemetry.call import CHANGES, STAGES, now, prompt_name
from step5_serving.telemetry.reading import LOW
from step5_serving.telemetry.schema import RUNNING, bodies, calls, iso, microseconds
from step5_serving.telemetry.store import Store

c = calls.c
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST = 36_500 * UNITS["d"]  # there is no year before the first
BUCKETS = 60
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
WIDTHS += tuple(days * UNITS["d"] for days in (1, 7, 30, 365, 3650))  # seconds
TIMES = {stage: c[f"{stage}_ms"] for stage in ("total", *STAGES, "first_token")}
ANSWERED = sa.and_(c.http_response_status_code < 400, ~RUNNING)
ERROR = c.http_response_status_code >= 500
DOUBTFUL = 10  # so many are named


def _count(what: Any) -> Any:
    return sa.func.coalesce(sa.func.sum(sa.case((what, 1), else_=0)), 0)


SUMS = {  # of a group of calls
    "calls": sa.func.count(),
    "errors": _count(ERROR),
    "refused": _count(c.http_response_status_code.between(400, 499)),
    "running": _count(RUNNING),
    "lost": _count(c.error_type == "lost"),
    "abstained": _count(c.abstained.is_(True)),
    "unknown_costs": _count(sa.and_(~RUNNING, c.cost_usd.is_(None))),
    "cost_usd": sa.func.sum(c.cost_usd),
    "input_tokens": sa.func.coalesce(sa.func.sum(c.gen_ai_usage_input_tokens), 0),
    "output_tokens": sa.func.coalesce(sa.func.sum(c.gen_ai_usage_output_tokens), 0),
    "mean_confidence": sa.func.avg(c.confidence),
}
UNKNOWN = ("mean_confidence", "error_rate", "p50_ms", "p95_ms")
NO_CALLS = {**dict.fromkeys(SUMS, 0), **dict.fromkeys(UNKNOWN)}


def parse_since(text: str) -> timedelta:
    """30m, 24h, 7d as a length of time.

    Raises:
        UserError: the text is not a length of time.
    """
    found = re.fullmatch(r"(\d{1,6})\s*([smhdw])", text.strip().lower())
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST:
        raise UserError(
            f"since {text[:40]!r} is not a length of time: use a number and s, m, h, d or w, like 24h, "
            f"up to {LONGEST // UNITS['d']}d"
        )
    return timedelta(seconds=seconds)


def summarize(store: Store, since: timedelta, at: datetime | None = None) -> dict[str, Any]:
    """All of it, of one moment.

    Args:
        since: how far back.
        at: the end, now where it isn't given.

    Raises:
        TelemetryDown: the database can't be read.
    """
    end = microseconds(at or now())
    begin = end - round(since.total_seconds() * 1e6)
    width = 1_000_000 * _width(since.total_seconds())
    within = sa.and_(c.started_us >= begin, c.started_us <= end, c.http_route.not_in(CHANGES))
    bucket = c.started_us // width
    sums = list(SUMS.values())
    version = (c.gen_ai_prompt_name, c.prompt_version, c.prompt_sha256)
    named = within & c.gen_ai_prompt_name.is_not(None)
    doubtful = (
        sa.select(c.trace_id, c.span_id, bodies.c.question, c.confidence)
        .join(bodies, bodies.c.span_id == c.span_id)
        .where(within, ANSWERED, c.confidence < LOW)
        .order_by(c.confidence, c.id.desc())
        .limit(DOUBTFUL)
    )
    [total], of_versions, of_buckets, doubts, version_times, bucket_times, *stages = store.read(
        sa.select(*sums).where(within),
        sa.select(*version, *sums).where(named).group_by(*version).order_by(*version),
        sa.select(bucket.label("bucket"), *sums).where(within).group_by(bucket),
        doubtful,
        percentiles(c.total_ms, named & ANSWERED, version),
        percentiles(c.total_ms, within & ANSWERED, (bucket,)),
        *(percentiles(column, within & ANSWERED) for column in TIMES.values()),
    )
    times = {tuple(row[:3]): row for row in version_times}
    versions = [
        {"prompt_version": prompt_name(*row[:3]), **_figures(row[3:], times.get(tuple(row[:3])))}
        for row in of_versions
    ]
    by_bucket = {row.key0: row for row in bucket_times}
    buckets = {row.bucket: _figures(row[1:], by_bucket.get(row.bucket)) for row in of_buckets}
    figures = _figures(total, stages[0][0])
    return {
        "since": iso(begin),
        "until": iso(end),
        **figures,
        "tokens": {side: figures[f"{side}_tokens"] for side in ("input", "output")},
        "latency_ms": {
            stage: {"p50": row.p50, "p95": row.p95} for stage, [row] in zip(TIMES, stages, strict=True)
        },
        "low_confidence": [dict(row._mapping) for row in doubts],
        "by_prompt_version": versions,
        "series": [  # every bucket of the time, those without a call too
            {"start": iso(place * width), **buckets.get(place, NO_CALLS)}
            for place in range(begin // width, end // width + 1)
        ],
    }


def percentiles(column: Any, where: Any, group: Sequence[Any] = ()) -> Any:
    """p50 and p95 of a column by nearest rank, in each group; NULLs are not counted.

    The p-th percentile of n values is the one with rank ceil(p * n / 100) in their order, counted from 1,
    and so always one of them. Databases round and divide each in their way, so the rank is of whole numbers
    alone.

    Args:
        column: what is ranked, of the rows for which `where` holds.
        group: expressions; rows that are alike in all of them are a group. Where it is empty, all rows are.

    Returns:
        A SELECT of key0, key1 ... (those of `group`), p50 and p95, a row for each group that has a value, in
        any order. Without `group` it has one row, always: of NULLs where there is no value.
    """
    ### BEGIN SOLUTION 5.3: Percentiles in SQL
    keys = [key.label(f"key{i}") for i, key in enumerate(group)]
    by: dict[str, Any] = {"partition_by": list(group)} if group else {}
    inner = (
        sa.select(
            *keys,
            column.label("value"),
            sa.func.row_number().over(order_by=column, **by).label("rank"),
            sa.func.count().over(**by).label("n"),
        )
        .where(where, column.is_not(None))
        .subquery()
    )
    of = [inner.c[key.name] for key in keys]

    def at(p: int) -> Any:
        # In whole numbers: ceil(a / b) is (a + b - 1) // b.
        return sa.func.max(sa.case((inner.c.rank == (p * inner.c.n + 99) // 100, inner.c.value)))

    return sa.select(*of, at(50).label("p50"), at(95).label("p95")).group_by(*of)
    ### END SOLUTION


def _figures(sums: Sequence[Any], times: Any) -> dict[str, Any]:
    """What a group of calls comes to, by name; `times` has its percentiles, where any was answered."""
    known = dict(zip(SUMS, sums, strict=True))
    calls, cost = known["calls"], known["cost_usd"]
    if cost is None and not known["unknown_costs"]:  # no call at all
        cost = 0.0
    rate = known["errors"] / calls if calls else None
    p50, p95 = (times.p50, times.p95) if times else (None, None)
    return {**known, "cost_usd": cost, "error_rate": rate, "p50_ms": p50, "p95_ms": p95}


def _width(seconds: float) -> int:
    """Seconds of a bucket, so that at most BUCKETS of them cover the time wherever it begins."""
    return next(width for width in WIDTHS if seconds <= width * (BUCKETS - 1))

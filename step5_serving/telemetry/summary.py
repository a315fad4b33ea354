"""What happened since a point in time: counts, costs, percentiles by stage, by prompt version, over time.

    >>> summarize(store, parse_since("24h"))["latency_ms"]["total"]
    {'p50': 41.5, 'p95': 97.2}

The database counts, with the same SQL for SQLite and Postgres. Percentiles are nearest ranks, as everywhere
in this step (shared.stats.nearest_rank), so each is a measured value. Latency is that of answered calls
only: a service that refuses everybody would look fast. An error is a call that failed by the service's fault
(5xx or lost), a refusal one by the caller's (4xx). Unknown costs are counted, and add nothing to the sum.
Requests that never became a call (no key, a malformed body) are in /metrics only.
"""

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
LONGEST = 36_500 * UNITS["d"]  # seconds
BUCKETS = 60
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
WIDTHS += tuple(days * UNITS["d"] for days in (1, 7, 30, 365, 3650))  # seconds
TIMES = {stage: c[f"{stage}_ms"] for stage in ("total", *STAGES, "first_token")}
ANSWERED = sa.and_(c.http_response_status_code < 400, ~RUNNING)
ERROR = c.http_response_status_code >= 500
DOUBTFUL = 10  # questions with low confidence that are listed


def _count(condition: Any) -> Any:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


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
    """A length of time from a text like 30m, 24h or 7d; raises UserError if it is not one."""
    found = re.fullmatch(r"(\d{1,6})\s*([smhdw])", text.strip().lower())
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST:
        raise UserError(
            f"since {text[:40]!r} is not a length of time: use a number and s, m, h, d or w, like 24h, "
            f"up to {LONGEST // UNITS['d']}d"
        )
    return timedelta(seconds=seconds)


def summarize(store: Store, since: timedelta, at: datetime | None = None) -> dict[str, Any]:
    """The summary of the time `since` until `at` (default: now), from one snapshot of the database."""
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
        "series": [  # all buckets, also those without a call
            {"start": iso(place * width), **buckets.get(place, NO_CALLS)}
            for place in range(begin // width, end // width + 1)
        ],
    }


def percentiles(column: Any, where: Any, group: Sequence[Any] = ()) -> Any:
    """p50 and p95 of a column by nearest rank, in each group; NULLs are not counted.

    The p-th percentile of n values is the one with rank ceil(p * n / 100) in sorted order, counted from 1.
    The rank is computed in integers, because databases divide and round differently.

    Args:
        column: the values, of the rows for which `where` holds.
        group: expressions to group by; empty: all rows are one group.

    Returns:
        A SELECT of key0, key1 ... (those of `group`), p50 and p95, with a row for each group that has values,
        in any order. Without `group` it always has one row, of NULLs if there are no values.
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
    groups = [inner.c[key.name] for key in keys]

    def percentile(p: int) -> Any:
        # In integers, ceil(a / b) is (a + b - 1) // b.
        return sa.func.max(sa.case((inner.c.rank == (p * inner.c.n + 99) // 100, inner.c.value)))

    p50, p95 = percentile(50).label("p50"), percentile(95).label("p95")
    return sa.select(*groups, p50, p95).group_by(*groups)
    ### END SOLUTION


def _figures(sums: Sequence[Any], times: Any) -> dict[str, Any]:
    """The figures of a group of calls; `times` has its percentiles, if any call was answered."""
    found = dict(zip(SUMS, sums, strict=True))
    calls, cost = found["calls"], found["cost_usd"]
    if cost is None and not found["unknown_costs"]:  # no calls
        cost = 0.0
    rate = found["errors"] / calls if calls else None
    p50, p95 = (times.p50, times.p95) if times else (None, None)
    return {**found, "cost_usd": cost, "error_rate": rate, "p50_ms": p50, "p95_ms": p95}


def _width(seconds: float) -> int:
    """Seconds per bucket, so that at most BUCKETS of them cover the time wherever it begins."""
    return next(width for width in WIDTHS if seconds <= width * (BUCKETS - 1))

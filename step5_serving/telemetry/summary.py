"""What happened since a point in time: counts, money, percentiles by stage, by prompt version, over time.

    >>> summarize(store, parse_since("24h"))["latency_ms"]["total"]
    {'p50': 41.5, 'p95': 97.2}

The databases do the counting, with the same statements on SQLite and Postgres. A percentile is the nearest
rank, as everywhere in this step (shared.stats.nearest_rank): the smallest value that at least p % of the
values don't exceed, so it is always one that was measured.
Latency is that of answered calls: a refusal takes no time and would make a service that refuses look fast.
An error is a call that failed by the service (5xx); what the caller got wrong, or had too much of (4xx), is
counted as refused. A call whose cost is unknown, one that broke off for instance, is counted as such and adds
nothing to the sum. A stream that is under way is `running`, and one whose process died `lost`: an error.
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
TIMES = {stage: c[f"{stage}_ms"] for stage in ("total", *STAGES)} | {"first_token": c.first_token_ms}
ANSWERED = sa.and_(c.http_response_status_code < 400, ~RUNNING)
ERROR = c.http_response_status_code >= 500
DOUBTFUL = 10  # so many are named


def parse_since(text: str) -> timedelta:
    """30m, 24h, 7d as a length of time.

    Raises:
        UserError: it is none.
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
    width = _width(since.total_seconds())
    within = sa.and_(c.started_us >= begin, c.started_us <= end, c.http_route.not_in(CHANGES))
    bucket = c.started_us // (width * 1_000_000)
    version = (c.gen_ai_prompt_name, c.prompt_version, c.prompt_sha256)
    named = within & c.gen_ai_prompt_name.is_not(None)
    [total], of_versions, of_buckets, doubtful, version_times, bucket_times, *stages = store.read(
        sa.select(*_sums()).where(within),
        sa.select(*version, *_sums()).where(named).group_by(*version).order_by(*version),
        sa.select(bucket.label("bucket"), *_sums()).where(within).group_by(bucket),
        _doubtful(within),
        percentiles(c.total_ms, named & ANSWERED, version[1:]),
        percentiles(c.total_ms, within & ANSWERED, (bucket,)),
        *(percentiles(column, within & ANSWERED) for column in TIMES.values()),
    )
    times = {tuple(row[:2]): row for row in version_times}
    return {
        "since": iso(begin),
        "until": iso(end),
        "calls": total.calls,
        "errors": total.errors,
        "refused": total.refused,
        "running": total.running,
        "lost": total.lost,
        "error_rate": _rate(total),
        "abstained": total.abstained,
        "unknown_costs": total.unknown_costs,
        "cost_usd": _money(total),
        "tokens": {"input": int(total.input_tokens), "output": int(total.output_tokens)},
        "mean_confidence": total.mean_confidence,
        "latency_ms": {
            stage: {"p50": row.p50, "p95": row.p95} for stage, [row] in zip(TIMES, stages, strict=True)
        },
        "low_confidence": [dict(row._mapping) for row in doubtful],
        "by_prompt_version": [_version_row(row, times.get(tuple(row[1:3]))) for row in of_versions],
        "series": _series(of_buckets, bucket_times, begin, end, width),
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


def _sums() -> list[Any]:
    """Counts and sums of a group of calls."""

    def count(what: Any) -> Any:
        return sa.func.coalesce(sa.func.sum(sa.case((what, 1), else_=0)), 0)

    def total(column: Any) -> Any:
        return sa.func.coalesce(sa.func.sum(column), 0)

    return [
        sa.func.count().label("calls"),
        count(ERROR).label("errors"),
        count(c.http_response_status_code.between(400, 499)).label("refused"),
        count(RUNNING).label("running"),
        count(c.error_type == "lost").label("lost"),
        count(c.abstained.is_(True)).label("abstained"),
        count(sa.and_(~RUNNING, c.cost_usd.is_(None))).label("unknown_costs"),
        sa.func.sum(c.cost_usd).label("cost_usd"),
        total(c.gen_ai_usage_input_tokens).label("input_tokens"),
        total(c.gen_ai_usage_output_tokens).label("output_tokens"),
        sa.func.avg(c.confidence).label("mean_confidence"),
    ]


def _doubtful(within: Any) -> Any:
    return (
        sa.select(c.trace_id, c.span_id, bodies.c.question, c.confidence)
        .join(bodies, bodies.c.call_id == c.id)
        .where(within, ANSWERED, c.confidence < LOW)
        .order_by(c.confidence, c.id.desc())
        .limit(DOUBTFUL)
    )


def _width(seconds: float) -> int:
    """Seconds of a bucket, so that at most BUCKETS of them cover the time wherever it begins."""
    return next(width for width in WIDTHS if seconds <= width * (BUCKETS - 1))


def _series(
    sums: Sequence[Any], times: Sequence[Any], begin: int, end: int, width: int
) -> list[dict[str, Any]]:
    """Every bucket of the time, those without a call too."""
    us = width * 1_000_000
    by_bucket, percentile = {row.bucket: row for row in sums}, {row.key0: row for row in times}
    rows = []
    for bucket in range(begin // us, end // us + 1):
        row, found = by_bucket.get(bucket), percentile.get(bucket)
        rows.append(
            {
                "start": iso(bucket * us),
                "calls": row.calls if row else 0,
                "errors": row.errors if row else 0,
                "p50_ms": found.p50 if found else None,
                "p95_ms": found.p95 if found else None,
                "input_tokens": int(row.input_tokens) if row else 0,
                "output_tokens": int(row.output_tokens) if row else 0,
                "cost_usd": _money(row) if row else 0.0,
            }
        )
    return rows


def _version_row(row: Any, times: Any) -> dict[str, Any]:
    return {
        "prompt_version": prompt_name(*row[:3]),
        "calls": row.calls,
        "p50_ms": times.p50 if times else None,
        "p95_ms": times.p95 if times else None,
        "mean_confidence": row.mean_confidence,
        "error_rate": _rate(row),
        "abstained": row.abstained,
        "cost_usd": _money(row),
        "unknown_costs": row.unknown_costs,
    }


def _rate(row: Any) -> float | None:
    return row.errors / row.calls if row.calls else None


def _money(row: Any) -> float | None:
    """The sum of what is known; null where there were answers and no cost of any is known."""
    if row.cost_usd is None:
        return None if row.unknown_costs else 0.0
    return float(row.cost_usd)

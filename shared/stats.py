"""Percentiles, samples, shares, 95 % intervals, and a test for pairs. Functions import scipy."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from shared.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """A share of n; `share` makes it."""

    hits: int
    n: int
    share: float | None  # 0 to 1; None if n is 0
    interval_95: tuple[float, float]


def nearest_rank(values: Sequence[float], percent: int) -> float | None:
    """The percentile: the smallest value that at least `percent` % of the values don't exceed.

    It is the value at rank ceil(percent * n / 100), counted from 1: p95 of 20 values is the 19th. None if
    there are no values.

    >>> nearest_rank(range(1, 21), 95), nearest_rank([3.0, 1.0], 50), nearest_rank([], 50)
    (19, 1.0, None)
    """
    ordered = sorted(values)
    return ordered[(percent * len(ordered) + 99) // 100 - 1] if ordered else None


def subset(items: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """All items, or `limit` of them drawn at random, in their original order.

    Raises:
        UserError: a limit below 1.
    """
    if limit is None:
        return list(items)
    if limit < 1:
        raise UserError(f"--limit {limit} is not allowed: use 1 or more")
    indices = random.Random(seed).sample(range(len(items)), min(limit, len(items)))
    return [items[i] for i in sorted(indices)]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of the share `hits` / `n` (Wilson 1927); accurate also for small n and near 0 and 1."""
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def share(hits: int, n: int) -> Share:
    """A share of n with its 95 % interval.

    >>> share(92, 100)
    Share(hits=92, n=100, share=0.92, interval_95=(0.8500..., 0.9589...))
    """
    return Share(hits, n, hits / n if n else None, wilson(hits, n))


def percent(share: Share) -> str:
    """A share as text: `92% (85-96)`."""
    low, high = share.interval_95
    return f"{share.share:.0%} ({100 * low:.0f}-{100 * high:.0f})"


def bootstrap(values: Sequence[float], weights: Sequence[float] | None = None) -> tuple[float, float] | None:
    """95 % interval of the (weighted) mean from 2,000 resamples (Efron 1979); None for fewer than 2 values.

    values, weights: (n,). The same input gives the same interval.
    """
    import numpy as np
    from scipy.stats import bootstrap as resample

    if len(values) < 2:
        return None
    interval = resample(
        (values, [1.0] * len(values) if weights is None else weights),
        lambda value, weight, axis: np.average(value, axis=axis, weights=weight),
        paired=True,
        n_resamples=2000,
        batch=100,  # resamples in memory at a time
        method="percentile",
        rng=0,
    ).confidence_interval
    return float(interval.low), float(interval.high)


def sign_test(gained: int, lost: int) -> float:
    """Two-sided p-value of the exact McNemar test, for `gained` and `lost` pairs among those that changed."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0

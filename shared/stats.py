"""How sure a figure is: 95 % intervals for shares and for means, and a test for pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share, `hits` of `n` (Wilson 1927): honest for small n and near 0 and 1."""
    if n == 0:
        return 0.0, 1.0
    p, square = hits / n, z * z
    centre = (p + square / (2 * n)) / (1 + square / n)
    half = z * math.sqrt(p * (1 - p) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(
    values: Sequence[float], weights: Sequence[float] | None = None, draws: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """95 % interval of the (weighted) mean, from `draws` resamples (Efron 1979); None for n = 1."""
    import numpy as np

    if len(values) < 2:
        return None
    random, data = np.random.default_rng(seed), np.asarray(values, dtype=float)
    parts = np.ones_like(data) if weights is None else np.asarray(weights, dtype=float)
    means = []
    for _ in range(draws):  # one at a time: all at once would take draws * n numbers
        drawn = random.integers(len(data), size=len(data))
        means.append((data[drawn] * parts[drawn]).sum() / parts[drawn].sum())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def sign_test(gained: int, lost: int) -> float:
    """p that chance alone splits so unevenly the pairs that changed (exact, two-sided: McNemar 1947)."""
    n = gained + lost
    tail = sum(math.comb(n, k) for k in range(min(gained, lost) + 1)) / 2**n
    return min(1.0, 2 * tail)

"""How sure a figure is: 95 % intervals for shares and for means."""

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


def bootstrap(values: Sequence[float], draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean (Efron 1979), from `draws` resamples."""
    import numpy as np

    sample = np.random.default_rng(seed).choice(values, size=(draws, len(values)))
    low, high = np.percentile(sample.mean(axis=1), [2.5, 97.5])
    return float(low), float(high)

"""A rate limit for each key: a bucket of tokens that fills up steadily; each request takes one.

    >>> rates = Rates(per_second=2, burst=3, clock=lambda: 0.0)
    >>> [rates.take("alice") for _ in range(4)]      # seconds to wait; 0.0: allowed
    [0.0, 0.0, 0.0, 0.5]

A bucket holds `burst` tokens and gains `per_second`. Nothing runs in the background: how full a bucket is now
follows from when it was last used. Buckets are per process, so N workers allow N times as much.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

MOST = 10_000  # buckets; beyond that, the least recently used one is dropped


class Rates:
    """A token bucket for each caller."""

    def __init__(
        self, per_second: float, burst: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self.burst = max(1.0, 2 * per_second if burst is None else burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when

    def take(self, who: str) -> float:
        """Take a token and return 0.0; if there is none, return the seconds until there is.

        `_buckets` holds the tokens that each caller had left at the last call, and the time of that call. A
        new caller has a full bucket. It gains `per_second`, fractions included, up to `burst`; a call needs
        one whole token. After each call, allowed or not, the caller moves to the end of `_buckets`; if there
        are more than MOST, the first one is dropped.
        """
        ### BEGIN SOLUTION 5.2: A token bucket
        now = self._clock()
        tokens, when = self._buckets.get(who, (self.burst, now))
        tokens = min(self.burst, tokens + (now - when) * self.per_second)
        enough = tokens >= 1.0
        self._buckets[who] = (tokens - enough, now)
        self._buckets.move_to_end(who)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        return 0.0 if enough else (1.0 - tokens) / self.per_second
        ### END SOLUTION

"""A rate limit for each key: a bucket of tokens that fills up steadily, one token a request.

    >>> rates = Rates(per_second=2, burst=3, clock=lambda: 0.0)
    >>> [rates.take("alice") for _ in range(4)]      # seconds to wait; 0.0: go on
    [0.0, 0.0, 0.0, 0.5]

`burst` is what a bucket holds: so many at once, and `per_second` in the long run. Nothing runs in the
background: how full a bucket is follows from when it was looked at last. It is kept in this process, so N
workers allow N times as much.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MOST = 10_000  # buckets; beyond that, whoever hasn't asked for longest is forgotten: his would be full anyway


class Rates:
    """One bucket for everybody who asks."""

    def __init__(
        self, per_second: float, burst: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self.burst = max(1.0, 2 * per_second if burst is None else burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when

    def take(self, who: str) -> float:
        """Take a token: 0.0, or the seconds until there is one; then nothing was taken.

        `_buckets` holds for each who asked how many tokens were left then, and when that was. Somebody new
        has a full bucket. It fills up by `per_second`, in parts of a token too, and never beyond `burst`;
        one whole token is enough. Who asks, in vain or not, is the last of `_buckets`; when these have
        become more than MOST, the first is forgotten.
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

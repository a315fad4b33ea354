"""What a call costs, and what may be spent in a day.

    >>> cost_of("claude-sonnet-5-5", 1000, 200)
    0.004
    >>> cost_of("smollm2-135m-instruct", 1000, 200) is None      # no price in models.toml: unknown, not free
    True
    >>> cost_of("smollm2-135m-instruct", 0, 0)                   # a quote: no model read or wrote anything
    0.0

A budget can only count what has a price: a server with `--budget-usd-per-day` refuses to start with a model
that has none, and a call of unknown cost adds nothing. Calls that still run are not counted yet, so the
budget can be exceeded by what they cost.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import sqlalchemy as sa

from shared import catalog
from shared.errors import UserError
from step5_serving.errors import ApiError
from step5_serving.telemetry.call import Call, now
from step5_serving.telemetry.schema import calls, microseconds
from step5_serving.telemetry.store import Store


@cache
def price_of(model: str) -> catalog.Price | None:
    """The price of a model in models.toml; None for a folder, a hub repository or an unknown name."""
    spec = catalog.catalog().get(model)
    return spec.price if spec else None


def cost_of(model: str | None, input_tokens: int | None, output_tokens: int | None) -> float | None:
    """US dollars; None if the price or a count is unknown.

    With 0 tokens read and 0 written, it is 0.0 for any model, also without a price, and for None. Otherwise,
    if the model has no price (`price_of`) or a count is missing, the cost is None, never 0. `Price.cost`
    computes it, for long prompts too.
    """
    ### BEGIN SOLUTION 5.1: The price of a call
    if input_tokens == 0 and output_tokens == 0:
        return 0.0
    price = price_of(model) if model else None
    if price is None or input_tokens is None or output_tokens is None:
        return None
    return price.cost(input_tokens, output_tokens)
    ### END SOLUTION


class Budget:
    """A limit in dollars per day (UTC); used in the event loop's thread only.

    It is kept in memory: each worker counts its own calls, and what the database held when it started.
    """

    def __init__(self, usd_per_day: float, store: Store | None = None, today: datetime | None = None) -> None:
        if not 0 < usd_per_day < float("inf"):
            raise UserError(f"--budget-usd-per-day {usd_per_day:g} buys nothing: use a number over 0")
        self.limit, self._day, self._spent = usd_per_day, _midnight(today or now()), 0.0
        if store:
            since = calls.c.started_us >= microseconds(self._day)
            [[[spent]]] = store.read(sa.select(sa.func.sum(calls.c.cost_usd)).where(since))
            self._spent = float(spent or 0.0)

    def check(self, at: datetime | None = None) -> None:
        """Raise ApiError (429) if today's budget is spent."""
        at = at or now()
        spent = self.spent(at)
        if spent >= self.limit:
            left = self._day + timedelta(days=1) - at
            message = f"today's budget of ${self.limit:g} is spent (${spent:.4f}): it is renewed at 0:00 UTC"
            retry_after = max(1, int(left.total_seconds()) + 1)
            raise ApiError(429, "budget_exceeded", message, retry_after=retry_after)

    def add(self, call: Call) -> None:
        """Count a finished call on the day it started; an unknown cost adds nothing."""
        self.spent(call.started_at)
        if call.cost_usd and _midnight(call.started_at) == self._day:
            self._spent += call.cost_usd

    def spent(self, at: datetime) -> float:
        """Dollars spent on the day of `at`; a new day starts at 0."""
        if _midnight(at) > self._day:
            self._day, self._spent = _midnight(at), 0.0
        return self._spent


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

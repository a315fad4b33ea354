"""What a call costs, and what may be spent in a day.

    >>> cost_of("claude-sonnet-5-5", 1000, 200)
    0.004
    >>> cost_of("smollm2-135m-instruct", 1000, 200) is None      # no price in models.toml: unknown, not free
    True
    >>> cost_of("smollm2-135m-instruct", 0, 0)                   # a quote: no model read or wrote anything
    0.0

A budget can only count what has a price: a server with `--budget-usd-per-day` refuses to start with a model
that has none, and a call of unknown cost adds nothing. Each call reserves an estimate before it is admitted:
its row is opened first, and rows of calls that still run count with what a call may cost at most. The true
cost replaces the estimate at the end. Servers that share a database share the budget.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

import sqlalchemy as sa

from shared import catalog
from step5_serving.errors import ApiError
from step5_serving.telemetry.call import now
from step5_serving.telemetry.schema import RUNNING, calls, microseconds
from step5_serving.telemetry.store import LONGEST_CALL, Store

RETRY_S = 5  # until some calls that run have ended


class Spent(NamedTuple):
    """Tokens that a model has read and written."""

    input_tokens: int
    output_tokens: int


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


@dataclass(frozen=True)
class Budget:
    """US dollars for a day, and the most that one call may cost."""

    usd_per_day: float
    usd_per_call: float

    def check(self, store: Store, span_id: str, at: datetime | None = None) -> None:
        """Raise ApiError if there is no room for a call, whose opening row is written (429). It blocks.

        Spent is what the calls of the day (UTC) cost, and reserved what those may cost that still run and
        were opened before this one: of many that come together, as many are admitted as there is room for.

        Raises:
            ApiError: there is no room (429), or the calls can't be read (503).
        """
        at = at or now()
        midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        today = calls.c.started_us >= microseconds(midnight)
        own = sa.select(calls.c.id).where(calls.c.span_id == span_id).scalar_subquery()
        may_run = calls.c.started_us >= microseconds(at - LONGEST_CALL)
        before = sa.and_(RUNNING, may_run, calls.c.id < own)
        [[[spent]], [[running]]] = store.read(
            sa.select(sa.func.coalesce(sa.func.sum(calls.c.cost_usd), 0.0)).where(today),
            sa.select(sa.func.count()).where(before),
        )
        reserved = running * self.usd_per_call
        if spent + reserved + self.usd_per_call <= self.usd_per_day:
            return
        taken = f"${spent:.4f}"
        if reserved:
            taken += f", and ${reserved:.4f} for calls that run"
        message = f"today's budget of ${self.usd_per_day:g} is spent ({taken}): it is renewed at 0:00 UTC"
        left = midnight + timedelta(days=1) - at
        retry_after = max(1, int(left.total_seconds()) + 1)
        if spent + self.usd_per_call <= self.usd_per_day:  # calls that cost less than reserved make room
            retry_after = RETRY_S
        raise ApiError(429, "budget_exceeded", message, retry_after=retry_after)

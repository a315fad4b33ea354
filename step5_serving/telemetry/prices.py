"""What a call costs, and what may be spent in a day.

    >>> cost_of("claude-sonnet-5-5", 1000, 200)
    0.004
    >>> cost_of("smollm2-135m-instruct", 1000, 200) is None      # no price in models.toml: unknown, not free
    True
    >>> cost_of("smollm2-135m-instruct", 0, 0)                   # a quote: no model read or wrote anything
    0.0

A budget can only count what has a price: a server with `--budget-usd-per-day` refuses to start with a model
that has none, and a call of unknown cost adds nothing. Calls that still run are not counted yet, so the
budget can be exceeded by what they cost. Servers that share a database share the budget.
"""

from datetime import UTC, datetime, timedelta
from functools import cache

import sqlalchemy as sa

from shared import catalog
from step5_serving.errors import ApiError
from step5_serving.telemetry.call import now
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


def check_budget(store: Store, usd_per_day: float, at: datetime | None = None) -> None:
    """Raise ApiError if the calls of the day (UTC) have spent it (429), or can't be read (503). It blocks."""
    at = at or now()
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    today = calls.c.started_us >= microseconds(midnight)
    [[[spent]]] = store.read(sa.select(sa.func.sum(calls.c.cost_usd)).where(today))
    if spent is not None and spent >= usd_per_day:
        left = midnight + timedelta(days=1) - at
        message = f"today's budget of ${usd_per_day:g} is spent (${spent:.4f}): it is renewed at 0:00 UTC"
        retry_after = max(1, int(left.total_seconds()) + 1)
        raise ApiError(429, "budget_exceeded", message, retry_after=retry_after)

"""What a call costs, and what may be spent in a day.

    >>> cost_of("claude-sonnet-5-5", 1000, 200)
    0.004
    >>> cost_of("smollm2-135m-instruct", 1000, 200) is None      # no price in models.toml: unknown, not free
    True
    >>> cost_of("smollm2-135m-instruct", 0, 0)                   # a quote: no model read or wrote anything
    0.0

A budget can count only what has a price. So a server with `--budget-usd-per-day` refuses a model without one
at the start, and a call whose cost is unknown (an engine that counts no tokens) adds nothing: the summary
says how many there were. Calls under way are not yet counted; the budget can be passed by what they cost.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import sqlalchemy as sa

from shared import catalog
from shared.errors import UserError
from step5_serving.errors import BudgetExceeded
from step5_serving.telemetry.call import Call, now
from step5_serving.telemetry.schema import calls, microseconds
from step5_serving.telemetry.store import Store


@cache
def price_of(model: str) -> catalog.Price | None:
    """By the id of models.toml; a folder, a hub repository or a name unknown there has none."""
    spec = catalog.catalog().get(model)
    return spec.price if spec else None


def cost_of(model: str | None, input_tokens: int | None, output_tokens: int | None) -> float | None:
    """US dollars; None where the price or a count is unknown.

    Where 0 tokens were read and 0 written, it is 0.0, whatever the model: also for one that has no price, and
    for none. Else it takes a model that has a price (`price_of`) and both counts; if one of them is missing,
    the cost is None and never 0. A price knows how it is applied, to long prompts too: `Price.cost`.
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
    """So many dollars a day (UTC), by what the store says was spent and what came since.

    In memory, used by the event loop's thread alone. Several workers each know their own calls, and what the
    others had spent at their start.
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
        """Before a call.

        Raises:
            BudgetExceeded: today's money is spent.
        """
        at = at or now()
        spent = self.spent(at)
        if spent >= self.limit:
            left = self._day + timedelta(days=1) - at
            raise BudgetExceeded(
                f"today's budget of ${self.limit:g} is spent (${spent:.4f}): the next day begins at 0:00 UTC",
                retry_after=max(1, int(left.total_seconds()) + 1),
            )

    def add(self, call: Call) -> None:
        """After a call, with what it cost; an unknown cost adds nothing."""
        self.spent(call.started_at)
        # One that was begun before midnight is yesterday's money.
        if call.cost_usd and _midnight(call.started_at) == self._day:
            self._spent += call.cost_usd

    def spent(self, at: datetime) -> float:
        """Dollars of the day, which may be a new one."""
        if _midnight(at) > self._day:
            self._day, self._spent = _midnight(at), 0.0
        return self._spent


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

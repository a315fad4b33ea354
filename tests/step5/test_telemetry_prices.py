"""What calls cost, and the daily budget."""

from datetime import timedelta

import pytest

from shared.catalog import lookup
from shared.errors import UserError
from step5_serving.errors import ApiError
from step5_serving.telemetry.prices import Budget, cost_of
from step5_serving.telemetry.store import Store
from tests.step5.telemetry_parts import NOON, after, call_of, record

DAY = 86400


@pytest.mark.parametrize(
    ("model", "tokens", "cost"),
    [
        ("claude-sonnet-5-5", (1000, 200), 0.004),
        ("smollm2-135m-instruct", (1000, 200), None),  # no price is not free
        ("claude-of-tomorrow", (1000, 200), None),
        (None, (1000, 200), None),
        ("claude-sonnet-5-5", (None, 200), None),
        ("claude-sonnet-5-5", (1000, None), None),
        ("smollm2-135m-instruct", (0, 0), 0.0),  # a quote: no model had a part
    ],
)
def test_costs(model, tokens, cost):
    assert cost_of(model, *tokens) == cost


def test_a_long_prompt_has_its_own_price():
    above = int(lookup("claude-haiku-5-5").price.long_prompt["above"])
    assert cost_of("claude-haiku-5-5", above + 1, 0) > cost_of("claude-haiku-5-5", above, 0) * 1.01


def test_a_new_day_has_a_new_budget():
    budget = Budget(1.0, today=NOON)
    budget.add(call_of(cost_usd=None))  # unknown: adds nothing
    budget.add(call_of(cost_usd=0.5))
    budget.check(NOON)
    budget.add(call_of(cost_usd=0.5))
    for at, left in ((NOON, DAY / 2), (after(DAY / 2 - 1), 1)):
        with pytest.raises(ApiError, match=r"budget of \$1 is spent") as error:
            budget.check(at)
        assert error.value.retry_after == pytest.approx(left, abs=2)
    budget.check(after(DAY / 2))
    assert budget.spent(after(DAY / 2)) == 0.0


def test_a_call_that_started_yesterday_is_not_counted_today():
    budget = Budget(1.0, today=NOON)
    budget.add(call_of(cost_usd=0.25, started_at=after(DAY / 2)))
    budget.add(call_of(cost_usd=0.5, started_at=after(DAY / 2 - 1)))
    assert budget.spent(after(DAY / 2)) == 0.25


def test_the_budget_survives_a_restart(tmp_path):
    url = str(tmp_path / "telemetry.db")
    yesterday = call_of(cost_usd=64.0, started_at=NOON - timedelta(hours=13))
    record(url, yesterday, call_of(cost_usd=0.5), call_of(cost_usd=0.25), call_of(cost_usd=None))
    budget = Budget(1.0, Store.open(url), today=NOON)
    assert budget.spent(NOON) == 0.75
    budget.check(NOON)


@pytest.mark.parametrize("dollars", [0, -1, float("nan"), float("inf")])
def test_a_budget_must_be_positive(dollars):
    with pytest.raises(UserError, match="buys nothing"):
        Budget(dollars)

"""What calls cost, and the daily budget."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.catalog import lookup
from shared.errors import UserError
from step5_serving.config import Config
from step5_serving.errors import ApiError
from step5_serving.telemetry.prices import Budget, cost_of
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.writer import write_rows
from tests.step5.telemetry_parts import NOON, after, call_of

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
    above = int(lookup("claude-haiku-5-5").price.long_prompt.above)
    assert cost_of("claude-haiku-5-5", above + 1, 0) > cost_of("claude-haiku-5-5", above, 0) * 1.01


@pytest.fixture
def budget(tmp_path):
    """Adds calls to a database; gives a function that checks a budget of 1 dollar at some time.

    The call that is checked may cost 0.2 dollars.
    """

    store = Store.open(str(tmp_path / "telemetry.db"), create=True)

    def make(*calls):
        def check(at):
            own = call_of(started_at=at, cost_usd=None, opened_by="here/1")
            write_rows(store, [own])
            try:
                Budget(1.0, 0.2).check(store, own.span_id, at)
            finally:
                write_rows(store, [replace(own, opened_by=None)])

        if calls:
            write_rows(store, calls)
        return check

    return make


def test_a_new_day_has_a_new_budget(budget):
    spent = budget(call_of(cost_usd=None), call_of(cost_usd=0.5), call_of(cost_usd=0.5))
    for at, left in ((NOON, DAY / 2), (after(DAY / 2 - 1), 1)):
        with pytest.raises(ApiError, match=r"budget of \$1 is spent") as error:
            spent(at)
        assert error.value.retry_after == pytest.approx(left, abs=2)
    spent(after(DAY / 2))


def test_a_budget_counts_the_known_costs_of_calls_that_started_today(budget):
    yesterday = call_of(cost_usd=64.0, started_at=NOON - timedelta(hours=13))
    budget()(NOON)
    almost = budget(yesterday, call_of(cost_usd=0.5), call_of(cost_usd=0.25), call_of(cost_usd=None))
    almost(NOON)
    budget(call_of(cost_usd=0.1))  # another server's
    with pytest.raises(ApiError, match="is spent"):
        almost(NOON)


def test_a_call_that_runs_has_reserved_what_it_may_cost(budget):
    """Also one of another server; not one that began hours ago, whose process is lost."""
    running = [call_of(started_at=after(-9), cost_usd=None, opened_by=f"elsewhere/{i}") for i in range(5)]
    lost = call_of(started_at=after(-9000), cost_usd=None, opened_by="elsewhere/9")
    budget(lost, *running[:4])(NOON)  # four times 0.2 dollars
    with pytest.raises(ApiError, match=r"\(\$0.0000, and \$1.0000 for calls that run\)") as error:
        budget(running[4])(NOON)
    assert error.value.retry_after < 60  # they may cost less than they have reserved
    for call in running:
        budget(replace(call, cost_usd=0.01, opened_by=None))
    budget()(NOON)


@pytest.mark.parametrize("dollars", [0, -1, float("nan"), float("inf")])
def test_a_budget_must_be_positive(dollars):
    with pytest.raises(UserError, match="buys nothing"):
        Config(budget_usd_per_day=dollars)

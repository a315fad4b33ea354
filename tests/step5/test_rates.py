"""Token buckets: a burst, then a steady rate, for each key."""

import pytest

from step5_serving.api import rates
from step5_serving.api.keys import Keys
from step5_serving.api.rates import Rates
from tests.step5.service_parts import app_of, calls_of, error_of, get, post


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_then_a_steady_rate():
    clock = Clock()
    limit = Rates(2, 3, clock)
    assert [limit.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    clock.now = 0.4
    assert limit.take("a") == pytest.approx(0.1)
    clock.now = 0.5
    assert limit.take("a") == 0.0
    clock.now = 100.0
    assert [limit.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]  # no more than it holds


def test_each_caller_has_a_bucket_and_the_oldest_is_dropped(monkeypatch):
    monkeypatch.setattr(rates, "MOST", 3)
    limit = Rates(1, 1, Clock())
    for who in "abcd":
        assert limit.take(who) == 0.0
    assert limit.take("d") > 0
    assert limit.take("a") == 0.0
    assert len(limit._buckets) == 3


def test_each_key_has_its_own_rate_and_refusals_have_rows_and_cost_nothing(tmp_path):
    keys = Keys(tmp_path / "keys.json")
    one, two = (keys.add(name, ["ask", "operate"])[1] for name in ("one", "two"))
    app, trace = app_of(keys=keys, rate=0.01, burst=2), "4bf92f3577b34da6a3ce929d0e0e4736"
    assert [post(app, headers={"x-api-key": one}).status_code for _ in range(2)] == [200, 200]
    for path in ("/query", "/query/stream"):
        headers = {"x-api-key": one, "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        got = post(app, path, headers=headers)
        assert (got.status_code, error_of(got)[0]) == (429, "rate_limit_error")
        assert 0 < int(got.headers["retry-after"]) <= 101
        last = calls_of(app)[-1]
        assert (last.error_type, last.trace_id, last.cost_usd) == ("rate_limit_error", trace, 0.0)
    assert post(app, headers={"x-api-key": two}).status_code == 200
    ids = [keys.find(each).id for each in (one, two)]
    rows = [(call.status, call.key_id) for call in calls_of(app)]
    assert rows == [(status, ids[0]) for status in (200, 200, 429, 429)] + [(200, ids[1])]
    assert get(app, "/readyz").status_code == 200


def test_a_wrong_key_takes_no_token(tmp_path):
    keys = Keys(tmp_path / "keys.json")
    _, text = keys.add("one", ["ask"])
    app = app_of(keys=keys, rate=0.01, burst=1)
    for _ in range(3):
        assert post(app, headers={"x-api-key": "wrong"}).status_code == 401
    assert post(app, headers={"x-api-key": text}).status_code == 200

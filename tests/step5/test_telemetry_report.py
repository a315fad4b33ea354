"""The report of regressions, and the commands that show what was stored."""

import json
import random
from datetime import timedelta

import numpy as np
import pytest

from step5_serving.telemetry import report
from step5_serving.telemetry.call import now
from tests.step5.telemetry_parts import after, call_of, record

P95 = next(each for each in report.MEASURES if each.name == "p95_ms")


def values(n, seed=0, slower=1.0, errors=0.0, **given):
    """A window of made-up calls; `given` are values that all of them have."""
    draw = random.Random(seed)
    made = {name: [] for name in report.COLUMNS} | {name: [value] * n for name, value in given.items()}
    made["total_ms"] = [slower * draw.lognormvariate(4, 0.5) for _ in range(n)]
    return made | {"error": [float(draw.random() < errors) for _ in range(n)]}


@pytest.mark.parametrize(
    ("given", "worse"),
    [
        ({}, set()),
        ({"slower": 1.02}, set()),  # within the tolerance
        ({"slower": 2.0}, {"p50_ms", "p95_ms"}),
        ({"slower": 0.3}, set()),  # faster is no regression
        ({"errors": 0.2}, {"error_rate"}),
        ({"cost_usd": 0.01}, {"cost_usd"}),
        ({"confidence": 0.5}, {"confidence"}),
        ({"confidence": 0.99}, set()),
        ({"abstained": 1.0}, {"abstained"}),
        ({"first_token_ms": 500.0}, {"first_token_p95_ms"}),
    ],
)
def test_regressions_and_nothing_else_are_reported(given, worse):
    usual = {"cost_usd": 0.002, "confidence": 0.9, "abstained": 0.0, "first_token_ms": 12.0}
    facts = report.report(values(400, seed=1, **(usual | given)), values(400, **usual))
    assert {name for name, row in facts["measures"].items() if row.get("regressed")} == worse
    assert len(facts["worse"]) == len(worse)


def test_few_calls_are_no_regression():
    facts = report.report(values(10, slower=9.0), values(400))
    assert not facts["worse"]
    assert facts["measures"]["p95_ms"]["interval_95"] is None


def test_noise_is_seldom_a_regression():
    before = values(300)
    alarms = sum(report._row(P95, values(300, seed), before, 0.1)["regressed"] for seed in range(1, 11))
    assert alarms <= 1


def test_the_interval_of_a_percentile_is_that_of_resamples():
    data = np.random.default_rng(0).lognormal(4, 1, 300)
    short, draw = report._draws(P95, data), np.random.default_rng(1)
    long = [np.sort(draw.choice(data, 300))[-(-95 * 300 // 100) - 1] for _ in range(4000)]
    for p in (2.5, 50, 97.5):
        assert np.percentile(short, p) == pytest.approx(np.percentile(long, p), rel=0.12)


def test_a_window_has_the_known_values_of_its_calls(database, monkeypatch):
    store = record(
        database,
        call_of(started_at=after(-10), total_ms=1.0, cost_usd=0.5, confidence=None),
        call_of(started_at=after(-5), total_ms=2.0, status=503, error_type="api_error", abstained=None),
        call_of(started_at=after(-3), total_ms=3.0, abstained=True),
        call_of(started_at=after(0)),  # the next window's
        call_of(started_at=after(-61)),
    )
    found = report.window(store, timedelta(minutes=1), after(0))
    assert (found["total_ms"], found["cost_usd"], found["error"]) == ([3.0, 1.0], [0.5], [0.0, 1.0, 0.0])
    assert (found["confidence"], found["abstained"]) == ([0.93, 0.93], [1.0, 0.0])
    monkeypatch.setattr(report, "MOST", 2)
    assert len(report.window(store, timedelta(minutes=1), after(0))["error"]) == 2


def ago(n, **given):
    return [call_of(started_at=now() - timedelta(**given), total_ms=100.0 * n) for _ in range(50)]


def test_the_exit_code_of_the_report_is_1_if_something_got_worse(run, tmp_path):
    record(str(tmp_path / "telemetry.db"), *ago(1, hours=30), *ago(1, hours=2))
    got = run("report")
    assert (got.code, "Nothing is worse." in got.out, "calls: 50, before: 50" in got.out) == (0, True, True)
    record(str(tmp_path / "telemetry.db"), *ago(3, minutes=2))
    got = run("report", "--since", "1h", "--before", "24h")
    assert got.code == 1
    assert "p95, ms is 300, slower than the 100 before" in got.out
    assert json.loads(run("report", "--since", "1h", "--json").out)["worse"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["report", "--since", "soon"], "is not a length of time"),
        (["telemetry", "show", "abcd1234"], "there is no call abcd1234"),
    ],
)
def test_wrong_flags_end_in_one_line(refused, tmp_path, args, said):
    record(f"sqlite:///{tmp_path}/telemetry.db")
    assert said in refused("step5_serving", *args)


@pytest.mark.parametrize("args", [["telemetry", "summary"], ["report"], ["replay", "abcd"]])
def test_a_missing_database_ends_in_one_line(refused, args):
    line = "no telemetry in telemetry.db: `python -m step5_serving serve` writes it there"
    assert line in refused("step5_serving", *args)
    assert "sqlite:///FILE" in refused("step5_serving", *args, "--telemetry", "mysql://x")


def test_the_commands_print_what_was_stored(run, tmp_path):
    first = call_of(started_at=now(), confidence=0.3)
    others = [call_of(started_at=now(), status=503, error_type="overloaded_error") for _ in range(3)]
    record(f"sqlite:///{tmp_path}/telemetry.db", first, *others)
    got = run("telemetry", "summary", "--since", "1h")
    assert got.code == 0, got.err
    assert "calls: 4, errors: 3 (75.0%)" in got.out
    assert f"0.30  {first.trace_id[:8]}  When does it renew?" in got.out
    got = run("telemetry", "calls", "--error")
    assert got.out.count("503 overloaded_error") == 3
    got = run("telemetry", "show", first.trace_id[:8])
    for text in ("Every two years. [1]", "[1] contracts/supply.md, Renewal", "question (taken)", "164+18"):
        assert text in got.out
    facts = json.loads(run("telemetry", "show", first.trace_id, "--json").out)
    assert facts["prompt"]["text"].startswith("---")
    assert run("telemetry", "prune", "--older-than", "1d").out.strip() == "calls deleted: 0"

"""The report: regressions, with an exit code for CI."""

import json
import random
from datetime import timedelta

import numpy as np
import pytest

from shared.errors import UserError
from step5_serving.telemetry import baseline, report
from step5_serving.telemetry.call import now
from step5_serving.telemetry.store import Store
from tests.step5.telemetry_parts import after, call_of, record

DAY = timedelta(days=1)


def made_up(n, seed=0, slower=1.0, errors=0.0, **given):
    draw = random.Random(seed)
    return [
        call_of(
            started_at=after(-draw.uniform(0, 80_000)),
            total_ms=slower * draw.lognormvariate(4, 0.5),
            status=503 if draw.random() < errors else 200,
            **given,
        )
        for _ in range(n)
    ]


@pytest.fixture
def store(tmp_path):
    """A function that makes a database of calls."""

    def make(calls, name="telemetry"):
        record(f"sqlite:///{tmp_path}/{name}.db", *calls)
        return Store.open(f"sqlite:///{tmp_path}/{name}.db")

    return make


def kept(store, calls, tmp_path):
    """A baseline of these calls, by way of its file."""
    path = tmp_path / "baseline.json"
    baseline.save_baseline(store(calls, "before"), DAY, path, after(0))
    return baseline.read_baseline(path)


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
        ({"abstained": True}, {"abstained"}),
        ({"first_token_ms": 500.0}, {"first_token_p95_ms"}),
    ],
)
def test_what_got_worse_than_the_baseline_and_nothing_else(store, tmp_path, given, worse):
    usual = {"cost_usd": 0.002, "confidence": 0.9}
    before = kept(store, made_up(400, **usual), tmp_path)
    here = store(made_up(400, seed=1, **(usual | given)))
    facts = report.report(here, DAY, before, at=after(0))
    assert {name for name, row in facts["measures"].items() if row.get("regressed")} == worse
    assert len(facts["worse"]) == len(worse)


def test_few_calls_claim_nothing(store, tmp_path):
    before = kept(store, made_up(400), tmp_path)
    facts = report.report(store(made_up(10, slower=9.0)), DAY, before, at=after(0))
    assert not facts["worse"]
    assert facts["measures"]["p95_ms"]["interval_95"] is None


def test_noise_alone_is_seldom_a_regression(store, tmp_path):
    before = kept(store, made_up(300), tmp_path)
    alarms = 0
    for seed in range(1, 21):
        values = {"total_ms": [each.total_ms for each in made_up(300, seed)]}
        measure = next(each for each in report.MEASURES if each.name == "p95_ms")
        alarms += report._row(measure, values, before.values, 0.1)["regressed"]
    assert alarms <= 2


def test_the_interval_of_a_percentile_is_that_of_resamples():
    values = np.random.default_rng(0).lognormal(4, 1, 300)
    measure = next(each for each in report.MEASURES if each.name == "p95_ms")
    short = report._draws(measure, values)
    draw = np.random.default_rng(1)
    long = [np.sort(draw.choice(values, 300))[-(-95 * 300 // 100) - 1] for _ in range(4000)]
    for p in (2.5, 50, 97.5):
        assert np.percentile(short, p) == pytest.approx(np.percentile(long, p), rel=0.12)


def test_a_baseline_keeps_values_but_not_all(store, tmp_path, monkeypatch):
    monkeypatch.setattr(baseline, "KEPT", 50)
    saved = kept(store, made_up(120), tmp_path)
    assert saved.calls == 120
    assert len(saved.values["total_ms"]) == 50
    monkeypatch.setattr(baseline, "READ", 40)
    values = baseline.window(store([], "before"), DAY, after(0))
    assert len(values["error"]) == 40


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', "\x00"])
def test_another_file_is_no_baseline(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UserError, match="is not a baseline"):
        baseline.read_baseline(path)


# --- the command --------------------------------------------------------------------------------------------


def today(n, **given):
    return [call_of(started_at=now(), **given) for _ in range(n)]


def test_the_command_saves_a_baseline_compares_and_ends_with_1(run, tmp_path):
    address, path = f"sqlite:///{tmp_path}/telemetry.db", tmp_path / "base" / "line.json"
    record(address, *today(50, total_ms=100.0))
    flags = ("--telemetry", address, "--baseline", path)
    got = run("report", *flags, "--save-baseline")
    assert (got.code, "the values of 50 calls are kept" in got.out) == (0, True)
    got = run("report", *flags)
    assert (got.code, "Nothing is worse." in got.out) == (0, True)
    record(address, *today(200, total_ms=300.0))
    got = run("report", *flags)
    assert got.code == 1
    assert "p95, ms is 300, slower than the baseline's 100" in got.out
    assert json.loads(run("report", *flags, "--json").out)["worse"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["report", "--since", "soon"], "is not a length of time"),
        (["report", "--save-baseline"], "name it with --baseline"),
        (["report", "--baseline", "nowhere.json"], "cannot read the baseline nowhere.json"),
        (["telemetry", "prune", "--older-than", "999999d"], "not a length of time"),
        (["report", "--baseline", "b.json", "--save-baseline"], "0 calls are too few"),
        (["telemetry", "prune", "--older-than", "never"], "is not a length of time"),
        (["telemetry", "show", "abcd1234"], "there is no call abcd1234"),
        (["telemetry", "show", "xyz"], "is not a trace id"),
    ],
)
def test_flags_that_are_wrong_end_in_one_line(run, tmp_path, args, said):
    record(f"sqlite:///{tmp_path}/telemetry.db")
    got = run(*args)
    assert (got.code, got.err.count("\n"), got.out) == (2, 1, "")
    assert said in got.err


@pytest.mark.parametrize("args", [["telemetry", "summary"], ["report"], ["replay", "abcd"]])
def test_without_a_database_it_is_said_who_makes_it(run, args):
    got = run(*args)
    assert (got.code, got.err.count("\n")) == (2, 1)
    assert "no telemetry in telemetry.db: `python -m step5_serving serve` writes it there" in got.err
    got = run(*args, "--telemetry", "mysql://x")
    assert (got.code, "sqlite:///FILE" in got.err) == (2, True)


def test_the_screens_show_what_was_stored(run, tmp_path):
    first = call_of(started_at=now(), confidence=0.3, question="When does it renew?")
    record(f"sqlite:///{tmp_path}/telemetry.db", first, *today(3, status=503, error_type="overloaded_error"))
    got = run("telemetry", "summary", "--since", "1h")
    assert got.code == 0, got.err
    assert "4 calls, 3 errors (75.0%)" in got.out
    assert f"0.30  {first.trace_id[:8]}  When does it renew?" in got.out
    got = run("telemetry", "calls", "--error")
    assert got.out.count("503 overloaded_error") == 3
    got = run("telemetry", "show", first.trace_id[:8])
    for text in (
        "Every two years. [1]",
        "[1] contracts/supply.md, Renewal",
        "It renews every two years.",
        "164+18",
    ):
        assert text in got.out
    facts = json.loads(run("telemetry", "show", first.trace_id, "--json").out)
    assert facts["prompt"]["text"].startswith("---")
    got = run("telemetry", "prune", "--older-than", "1d")
    assert got.out.strip() == "0 calls, 0 passages and 0 prompts deleted; 4 calls stay"

"""Capacity: machines and dollars by hand, and one line for a file that is no bench."""

import json

import pytest

BENCH = {
    "machine": "two cores",
    "input_tokens": 164,
    "output_tokens": 50,
    "rows": [
        {"engine": "torch", "users": 1, "tokens_per_second": 20.0},
        {"engine": "torch", "users": 8, "tokens_per_second": 100.0},
        {"engine": "lock", "users": 8, "tokens_per_second": 20.0},
        {"engine": "torch", "rate": 2.0, "tokens_per_second": 80.0},
    ],
}


@pytest.fixture(autouse=True)
def bench(tmp_path):
    (tmp_path / "bench.json").write_text(json.dumps(BENCH))


def test_machines_and_dollars_by_hand(command):
    flags = ("--price-per-hour", "0.1", "--users", "10,1000", "--json")
    facts = json.loads(command("step5_serving", "capacity", "bench.json", *flags).out)
    few, many = facts["rows"]
    assert facts["engine"] == "torch"
    assert (few["machines"], few["busy"]) == (1, pytest.approx(10 * 6 / 3600 / 2))
    assert many["asked"] == pytest.approx(1000 * 6 / 3600)
    assert many["machines"] == 2  # 1.667 / (0.7 * 100 / 50) = 1.19
    assert many["busy"] == pytest.approx(1.6667 / 4, rel=1e-3)
    assert many["usd_per_month"] == pytest.approx(2 * 0.1 * 730)
    per_question = (164 * 2 + 50 * 10) / 1e6  # at Claude's prices
    assert many["api_usd_per_month"] == pytest.approx(1000 * 6 * 176 * per_question)
    shown = command("step5_serving", "capacity", "bench.json", "--users", "1000").out
    assert "1,000 1.67 2 42 % 146" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("bench.json --users many", "use numbers like"),
        ("bench.json --users inf", "use numbers like"),
        ("bench.json --users 0", "use numbers like 1,4,8, over 0"),
        ("bench.json --utilisation 1", "0.99"),
        ("nowhere.json", "cannot read a bench"),
        ({"rows": []}, "cannot read a bench"),
        ({"rows": 3}, "cannot read a bench"),
        ({"rows": [{"engine": "x"}]}, "cannot read a bench"),
        ({"output_tokens": 0}, "cannot read a bench"),
    ],
)
def test_wrong_arguments_and_files_are_one_line(refused, tmp_path, args, line):
    if isinstance(args, dict):
        (tmp_path / "bench.json").write_text(json.dumps(BENCH | args))
        args = "bench.json"
    assert line in refused("step5_serving", "capacity", *args.split())

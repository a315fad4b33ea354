"""Capacity: machines and dollars by hand."""

import json

import pytest


def test_machines_and_dollars_by_hand(command):
    tokens = ("--input-tokens", "164", "--output-tokens", "50")
    flags = ("--price-per-hour", "0.1", "--users", "10,1000", "--json")
    few, many = json.loads(command("step5_serving", "capacity", "100", *tokens, *flags).out)["rows"]
    assert (few["machines"], few["busy"]) == (1, pytest.approx(10 * 6 / 3600 / 2))
    assert many["asked"] == pytest.approx(1000 * 6 / 3600)
    assert many["machines"] == 2  # 1.667 / (0.7 * 100 / 50) = 1.19
    assert many["busy"] == pytest.approx(1.6667 / 4, rel=1e-3)
    assert many["usd_per_month"] == pytest.approx(2 * 0.1 * 730)
    per_question = (164 * 2 + 50 * 10) / 1e6  # at Claude's prices
    assert many["api_usd_per_month"] == pytest.approx(1000 * 6 * 176 * per_question)
    shown = command("step5_serving", "capacity", "100", *tokens, "--users", "1000").out
    assert "1,000 1.67 2 42 % 146" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("100 --users many", "use numbers like"),
        ("100 --users inf", "use numbers like"),
        ("100 --users 0", "use numbers like 1,4,8, over 0"),
        ("100 --utilisation 1", "0.99"),
        ("0", "0.01"),
    ],
)
def test_wrong_arguments_are_one_line(refused, args, line):
    assert line in refused("step5_serving", "capacity", *args.split())

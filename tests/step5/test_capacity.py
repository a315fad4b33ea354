"""Capacity: the queue's arithmetic against a simulation, the costs by hand, and what is unknown."""

import json
import random

import pytest

from step5_serving.bench.capacity import Machine, Need, machine_of, machines, row

POINTS = ((1, 20.0), (4, 70.0), (8, 100.0))
MACHINE = Machine("torch", POINTS, 50)
BENCH = {
    "model": "smollm2-135m-instruct",
    "machine": "two cores",
    "input_tokens": 164,
    "output_tokens": 50,
    "rows": [
        *({"engine": "torch", "users": n, "tokens_per_second": x} for n, x in POINTS),
        {"engine": "lock", "users": 1, "tokens_per_second": 20.0},
        {"engine": "lock", "users": 8, "tokens_per_second": 20.0},
        {"engine": "torch", "rate": 2.0, "tokens_per_second": 80.0},
    ],
}


@pytest.fixture
def bench(tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(BENCH))
    return str(path)


def simulated(machine, arrivals, draw, n=20_000):
    """Mean and p95 of the time in a machine that shares itself evenly among those who are there."""
    chance = random.Random(7)
    now, coming, there, times = 0.0, chance.expovariate(arrivals), [], []
    while len(times) < n:
        each = machine.tokens_per_second(len(there)) / len(there) if there else 0.0
        ends = now + min(left for left, _ in there) / each if there else float("inf")
        upto = min(ends, coming)
        there = [(left - each * (upto - now), came) for left, came in there]
        now = upto
        if coming <= ends:
            there.append((draw(chance), now))
            coming = now + chance.expovariate(arrivals)
        else:
            times += [now - came for left, came in there if left <= 1e-9]
            there = [each for each in there if each[0] > 1e-9]
    times.sort()
    return sum(times) / len(times), times[int(0.95 * len(times))]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.85])
@pytest.mark.parametrize("length", ["fixed", "exponential"])
def test_the_arithmetic_is_what_a_simulation_finds(share, length):
    draws = {"fixed": lambda _: 50.0, "exponential": lambda chance: chance.expovariate(1 / 50)}
    arrivals = share * MACHINE.capacity
    mean, p95 = simulated(MACHINE, arrivals, draws[length])
    there, mean_here, p95_here = MACHINE.times(arrivals)
    assert there == pytest.approx(mean_here * arrivals)
    assert mean_here == pytest.approx(mean, rel=0.1)  # whatever the lengths
    if length == "fixed":
        assert p95_here == pytest.approx(p95, rel=0.25)


def test_a_server_of_one_at_a_time_is_the_textbooks():
    """M/M/1: mean time 1 / (m - l)."""
    machine = Machine("lock", ((1, 10.0), (2, 10.0)), 10)
    assert machine.times(0.5)[1] == pytest.approx(1 / (1 - 0.5))
    assert machine.times(0.9)[1] == pytest.approx(10, rel=1e-3)
    assert machine.times(1.0) is None


def test_between_the_loads_a_line_and_beyond_them_no_more():
    assert [MACHINE.tokens_per_second(n) for n in (0, 1, 2, 4, 6, 8, 64)] == pytest.approx(
        [0, 20, 20 + 50 / 3, 70, 85, 100, 100]
    )


def test_more_at_once_than_it_does_best_wait():
    rows = [{"engine": "torch", "users": n, "tokens_per_second": x} for n, x in ((16, 90.0), *POINTS)]
    assert machine_of({"rows": rows}, 50, None).points == POINTS
    flat = [{"engine": "lock", "users": n, "tokens_per_second": 20.0} for n in (1, 4, 8)]
    assert machine_of({"rows": flat}, 50, None).points == ((1, 20.0),)


def test_machines_and_dollars_by_hand():
    need = Need(6, 164, 50, price_per_hour=0.1, busy_hours=176, target=0.7)
    found = row(MACHINE, 1000, need, 0.001)
    assert found["questions_per_second"] == pytest.approx(1000 * 6 / 3600)
    assert found["machines"] == 2  # 1.667 / (0.7 * 100 / 50) = 1.19
    assert found["utilisation"] == pytest.approx(1.6667 / 4, rel=1e-3)
    assert found["usd_per_month"] == pytest.approx(2 * 0.1 * 730)
    assert found["usd_per_1000"] == pytest.approx(146 / (1000 * 6 * 176) * 1000)
    assert found["api_usd_per_month"] == pytest.approx(1000 * 6 * 176 * 0.001)
    assert row(MACHINE, 10, need, None)["api_usd_per_month"] is None


def test_a_limit_for_waiting_takes_more_machines_or_none_helps():
    need = Need(6, 164, 50, target=0.9)
    plain = machines(MACHINE, 20.0, need)
    strict = machines(MACHINE, 20.0, Need(6, 164, 50, target=0.9, within=3.0))
    assert strict > plain
    assert MACHINE.times(20.0 / strict)[2] <= 3.0
    assert MACHINE.times(20.0 / (strict - 1))[2] > 3.0
    assert machines(MACHINE, 20.0, Need(6, 164, 50, within=1.0)) is None


def test_the_command(command, bench, tmp_path):
    flags = ("--price-per-hour", "0.1", "--users", "1000", "--engine", "torch", "--out", "c.png")
    got = command("step5_serving", "capacity", bench, *flags)
    assert got.code == 0, got.err
    assert "1,000 1.67 2 42 %" in " ".join(got.out.split())
    assert "API: claude-sonnet-5-5" in got.out
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_stays_unknown(command, bench):
    got = command("step5_serving", "capacity", bench, "--model", "claude-newer", "--json")
    facts = json.loads(got.out)
    assert [each["users"] for each in facts["rows"]] == [10, 100, 1000, 10_000, 100_000]
    assert all(each["usd_per_month"] is None for each in facts["rows"])
    assert all(each["api_usd_per_month"] is None for each in facts["rows"])
    slow = command("step5_serving", "capacity", bench, "--within", "1", "--json")
    assert json.loads(slow.out)["rows"][0]["machines"] is None
    assert command("step5_serving", "capacity", bench, "--within", "1").code == 0


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--engine", "vllm"], "torch"),
        (["--users", "many"], "use numbers like"),
        (["--users", "0"], "from 1"),
        (["--users", ","], "from 1"),
        (["--utilisation", "1"], "0.99"),
        (["--out", "c.jpg"], ".png"),
    ],
)
def test_what_can_not_be_is_one_line(refused, bench, args, word):
    assert word in refused("step5_serving", "capacity", bench, *args)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{"engine": "x"}]}'])
def test_a_file_that_is_no_bench(refused, tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    assert "bench" in refused("step5_serving", "capacity", "b.json")
    assert "bench" in refused("step5_serving", "capacity", "nowhere.json")

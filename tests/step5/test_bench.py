"""The load generator and the bench: whose times, which requests, and what the table makes of them."""

import contextlib
import io
import json
import time
from collections import Counter

import anthropic
import pytest
from rich.console import Console

from shared.config import load_settings
from shared.errors import UserError
from step5_serving.addresses import listening
from step5_serving.bench import engines as bench
from step5_serving.bench.load import Run, Timed, ask, closed_loop, open_loop
from step5_serving.bench.prompts import COPY, Prompts
from step5_serving.cli import bench_view
from step5_serving.engines.__main__ import backend_of
from step5_serving.engines.engine import Engine
from step5_serving.engines.server import create_app
from tests.step5.stand_in_engine import StandInEngine


class Clockwork:
    """Generates `tokens` tokens, one every `gap` seconds; counts how many requests run at once."""

    def __init__(self, tokens=4, gap=0.01, fails=lambda n: False):
        self.tokens, self.gap, self.fails = tokens, gap, fails
        self.running = self.most = self.asked = 0

    def __call__(self, body):
        self.asked += 1
        if self.fails(self.asked):
            raise UserError("it broke")
        self.running += 1
        self.most = max(self.most, self.running)
        for n in range(1, self.tokens + 1):
            time.sleep(self.gap)
            yield n
        self.running -= 1


# --- the load generator -------------------------------------------------------------------------------


def test_a_closed_loop_keeps_all_users_busy_and_sends_nothing_after_its_time():
    target = Clockwork()
    run = closed_loop(target, [{}] * 9, 3)
    assert (target.most, target.asked, len(run.requests)) == (3, 9, 9)
    assert all(each.counts[-1] == 4 and not each.error for each in run.requests)
    assert run.tokens_per_second == pytest.approx(3 / 0.01, rel=0.4)
    target = Clockwork(gap=0.02)
    run = closed_loop(target, [{}] * 100, 2, seconds=0.1)
    assert 2 <= target.asked <= 6
    assert all(each.counts[-1] == 4 for each in run.requests)


def test_an_open_loop_sends_requests_whether_earlier_ones_are_answered_or_not():
    target = Clockwork(tokens=2, gap=0.1)
    run = open_loop(target, [{}] * 20, rate=100)
    assert target.most > 5
    assert all(each.whole >= 0.2 for each in run.requests)
    again = open_loop(Clockwork(tokens=1, gap=0.001), [{}] * 20, rate=100)
    plan = sorted(each.asked - run.began for each in run.requests)
    assert plan == pytest.approx(sorted(each.asked - again.began for each in again.requests))


def test_waiting_counts_from_when_a_request_was_due():
    timed = Timed(asked=10.0, times=[11.0, 11.5, 12.5], counts=[1, 2, 4])
    assert (timed.first, timed.per_token, timed.whole) == (1.0, 0.5, 2.5)
    assert Timed(0.0, [1.0], [3]).per_token is None  # all tokens came in one event
    assert Timed(0.0).first is None


def test_only_the_time_in_which_all_users_are_busy_counts():
    run = Run([Timed(0.0, [1.0, 2.0], [10, 20]), Timed(0.0, [1.0, 9.0], [10, 90])], began=0.0, until=2.0)
    assert run.tokens_per_second == (20 + 10) / 2


def test_failed_requests_are_counted_and_if_all_fail_the_bench_ends():
    run = closed_loop(Clockwork(fails=lambda n: n % 2 == 0), [{}] * 6, 1)
    assert [each.error for each in run.requests].count("it broke") == 3
    row = bench._row("clockwork", "users", 1.0, [run])
    assert (row["requests"], row["errors"]) == (3, 3)
    run = closed_loop(Clockwork(fails=lambda n: True), [{}] * 2, 1)
    with pytest.raises(UserError, match="clockwork answers nothing: it broke"):
        bench._checked("clockwork", run)


def test_a_server_is_read_event_by_event():
    body = {"model": "m", "max_tokens": 3, "messages": [{"role": "user", "content": "Hi"}]}
    with StandInEngine() as server:
        client = anthropic.Anthropic(base_url=server.address, api_key="none", max_retries=0)
        *pieces, whole = ask(client, body)
    assert pieces == list(range(1, len(pieces) + 1))
    assert whole == 10  # the server's own count, which comes at the end


# --- the prompts --------------------------------------------------------------------------------------


def prompts_of(kind, n, input_tokens):
    prompts = Prompts(load_settings(model="tiny"), kind, input_tokens, 9)
    bodies = prompts.next(n)
    contents = [body["messages"][0]["content"] for body in bodies]
    return bodies, contents, [prompts._tokens(each) for each in contents]


@pytest.mark.parametrize(("kind", "n", "tokens"), [("open", 8, 120), ("rag", 8, 1300), ("quote", 3, 300)])
def test_prompts_have_the_asked_length_and_all_differ(kind, n, tokens):
    bodies, contents, sizes = prompts_of(kind, n, tokens)
    assert all(tokens - 100 < size <= tokens for size in sizes)
    assert len({*contents}) == n
    if kind == "open":
        assert contents != prompts_of(kind, n, tokens)[1]  # else a server's cache would know them
    if kind == "quote":
        assert all(each.startswith(COPY) for each in contents)
    if kind == "rag":
        sources = Counter(each[: each.rindex("Question: ")] for each in contents)
        assert [*sources.values()] == [4, 4]
        assert all("numbered sources" in body["system"] for body in bodies)
        with pytest.raises(UserError, match="--input-tokens 100 holds no prompt"):
            prompts_of("rag", 1, 100)


# --- the bench ----------------------------------------------------------------------------------------


def test_ratios_are_taken_within_a_round():
    def run(first, gap):
        return Run([Timed(0.0, [first, first + gap], [1, 2])], 0.0, first + gap)

    runs = {
        ("a", "users", 1.0): [run(1.0, 1.0), run(2.0, 2.0), run(1.0, 2.0)],
        ("b", "users", 1.0): [run(2.0, 1.0), run(6.0, 2.0), run(4.0, 6.0)],
    }
    [row] = bench.ratios(runs)
    assert (row["first"], row["first_lowest"], row["first_highest"]) == (3.0, 2.0, 4.0)
    assert (row["token"], row["token_lowest"], row["token_highest"]) == (1.0, 1.0, 3.0)
    assert (row["ratio"], row["ratio_lowest"]) == (2.0, 1.5)


def test_bench_compares_engines_in_turns(command, tmp_path, monkeypatch):
    """One engine that is started for it, in this process, and a server."""

    def start(name, settings, options):
        address = stack.enter_context(listening(create_app(backend_of(name, settings, options))))
        return Engine(name, settings.model_copy(update={"base_url": address}))

    monkeypatch.setattr(bench, "EngineProcess", start)
    with contextlib.ExitStack() as stack, StandInEngine() as server:
        flags = ["--engine", "lock", "--engine", server.address, "--rate", "50"]
        got = command("step5_serving", "bench", "--smoke", *flags, "--out", str(tmp_path / "b.png"), "--json")
    facts, address = json.loads(got.out), server.address.removeprefix("http://")
    assert [row["engine"] for row in facts["rows"]] == ["lock", address] * 3
    assert [row.get("users", row.get("rate")) for row in facts["rows"]] == [1] * 2 + [2] * 2 + [50] * 2
    for row in facts["rows"]:
        assert row["first_ms_p50"] <= row["first_ms_p95"] <= row["whole_ms_p95"]
        assert row["tokens_per_second"] > 0
        assert row["errors"] == 0
    assert [(row["over"], row["users"]) for row in facts["ratios"]] == [(address, 1), (address, 2)]
    console = Console(width=100, file=io.StringIO())
    bench_view.show_engines(facts, console)
    assert f"lock / {address} with 2 users: tokens/s" in console.file.getvalue()
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("--users 0", "use numbers like 1,4,8, over 0 and up to 64"),
        ("--users 1.5", "--users 1.5 is not allowed: use numbers like 1,4,8"),
        ("--users=", "use --users or --rate"),
        ("--rate -1", "use numbers like 1,4,8, over 0 and up to 1,000"),
        ("--rounds 0", "--rounds"),
        ("--engine nonsense", "--engine nonsense is not known"),
        ("--engine claude-opus-5-5", "would be paid for"),
        ("--ask nonsense", "'nonsense' is not one of 'open', 'rag', 'quote'"),
        ("--out b.jpg", "ends in .png"),
    ],
)
def test_bench_refuses(refused, monkeypatch, wrong, line):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    assert line in refused("step5_serving", "bench", "--model", "tiny", *wrong.split())

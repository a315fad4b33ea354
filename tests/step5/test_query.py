"""POST /query and /query/stream: the reply, its row, what is refused, and whether the work stops in time."""

import asyncio
import contextlib
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from types import SimpleNamespace

import httpx
import pytest

from step5_serving.addresses import listening
from step5_serving.api import live
from step5_serving.api.keys import Keys
from step5_serving.errors import ApiError, TelemetryDown
from step5_serving.rag.scripted import ANSWER, SOURCE
from step5_serving.telemetry.call import trace_of
from step5_serving.telemetry.prices import cost_of
from step5_serving.telemetry.reading import list_calls, show_call
from tests.step5.service_parts import (
    ASKED,
    TRACE,
    FakeAnswerer,
    ListRecorder,
    app_of,
    calls_of,
    client_of,
    error_of,
    events_in,
    eventually,
    in_loop,
    post,
    request,
    until,
)

STREAM = "/query/stream"
on_both = pytest.mark.parametrize("path", ["/query", STREAM])


def test_a_reply_says_how_the_answer_came_about_and_its_row_says_the_same():
    app = app_of()
    got = post(app, json={**ASKED, "k": 3, "collection": "contracts"}, headers={"traceparent": TRACE})
    assert got.status_code == 200
    body = got.json()
    assert (body["answer"], body["abstained"], body["confidence"]) == (ANSWER, False, 0.97)
    assert body["sources"] == [asdict(SOURCE)]
    [attempt] = body["attempts"]
    assert (attempt["strategy"], attempt["query"], attempt["took"]) == ("question", ASKED["question"], True)
    assert body["usage"] == {"input_tokens": 164, "output_tokens": 18}
    assert set(body["latency_ms"]) == {"total", "queue", "retrieve", "rerank", "generate"}
    assert body["cost_usd"] is None  # no price is known: not free
    assert body["model"] == "scripted"
    assert got.headers["x-trace-id"] == body["trace_id"]

    [call] = calls_of(app)
    assert (call.route, call.status, call.error_type) == ("query", 200, None)
    assert (call.trace_id, call.span_id) == (body["trace_id"], body["span_id"])
    assert f"00-{call.trace_id}-{call.parent_span_id}-01" == TRACE
    assert (call.question, call.answer) == (ASKED["question"], ANSWER)
    assert (call.sources, call.attempts[0]["took"]) == ([asdict(SOURCE)], True)
    assert (call.input_tokens, call.output_tokens, call.finish_reason) == (164, 18, "end_turn")
    assert (call.retrieve_ms, call.rerank_ms, call.generate_ms) == (4.0, 1.5, 20.0)
    assert call.total_ms == body["latency_ms"]["total"] > 0
    assert call.first_token_ms is not None
    assert call.parameters == {"k": 3, "collection": "contracts", "reader": "chat"}
    assert call.prompt == body["prompt_version"]
    assert call.prompt_text == "Answer from the sources, version 1."


def test_the_events_of_a_stream_end_with_the_same_reply():
    app = app_of()
    got = post(app, STREAM)
    assert (got.status_code, got.headers["cache-control"]) == (200, "no-store")
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    (name, found), *pieces, (last, reply) = events_in(got.text)
    assert (name, last) == ("retrieved", "done")
    assert (found["sources"], found["confidence"]) == ([asdict(SOURCE)], 0.97)
    assert [name for name, _ in pieces] == ["delta"] * len(ANSWER.split())
    assert "".join(data["text"] for _, data in pieces) == ANSWER
    assert reply.keys() == post(app).json().keys()
    assert calls_of(app)[0].trace_id == reply["trace_id"]


@on_both
def test_without_a_row_there_is_no_answer(path):
    """A stream's row is opened before its first byte."""
    recorder = ListRecorder()
    recorder.trouble = "the disk is full"
    app = app_of(recorder=recorder)
    got = post(app, path)
    assert got.status_code == 503
    assert error_of(got) == ("telemetry_unavailable", "the disk is full")
    assert got.headers["retry-after"]
    assert b'rag_calls_total{route="query",status="5xx"} 1.0' in app.state.metrics.page()
    recorder.trouble = None
    assert post(app, path).status_code == 200  # without a restart


def test_without_its_last_row_a_stream_has_no_done_event():
    recorder = ListRecorder()

    async def record(_call):
        raise TelemetryDown("the disk is full")

    recorder.record = record
    events = events_in(post(app_of(recorder=recorder), STREAM).text)
    assert events[-1] == ("error", {"type": "telemetry_unavailable", "message": "the disk is full"})
    assert "done" not in [name for name, _ in events]


@in_loop
async def test_an_answer_whose_caller_leaves_while_its_row_is_written_is_counted():
    recorder, calls = ListRecorder(), []

    async def slow(call):
        calls.append(call)
        await asyncio.sleep(9)

    recorder.record = slow
    app = app_of(FakeAnswerer(model="claude-sonnet-5-5"), recorder)
    asking = asyncio.ensure_future(client_of(app).post("/query", json=ASKED))
    await eventually(lambda: calls)
    asking.cancel()
    await asyncio.wait([asking], timeout=20)
    assert calls[0].cost_usd > 0
    assert b'rag_calls_total{route="query",status="2xx"} 1.0' in app.state.metrics.page()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "question: Field required"),
        ({"question": "   "}, "question: String should have at least 1 character"),
        ({"question": "\x1c"}, "question: String should have at least 1 character"),  # space to Python
        ({"question": "x" * 2001}, "question: String should have at most 2000 characters"),
        ({"question": "a", "k": 10**40}, "k: "),
        ({"question": "a", "reader": "oracle"}, "reader: Input should be 'auto', 'chat' or 'quote'"),
        ({"question": "a", "kk": 3}, "kk: Extra inputs are not permitted"),
        (b"{", "the body is not valid JSON"),
        (b'{"question": "\\ud800"}', ""),
        (b"[" * 60_000, ""),
    ],
)
def test_a_malformed_question_is_refused_in_one_line(body, said):
    headers = {"content-type": "application/json"}
    content = {"content": body, "headers": headers} if isinstance(body, bytes) else {"json": body}
    got = request(app_of(), "POST", "/query", **content)
    assert got.status_code == 400
    kind, message = error_of(got)
    assert kind == "invalid_request_error"
    assert said in message


def test_the_limits_of_a_question_count_after_stripping():
    app = app_of()
    assert post(app, json={"question": "  " + "x" * 2000 + "\n"}).status_code == 200
    assert app.state.service.answerer.asked[-1].question == "x" * 2000


@pytest.mark.parametrize("wrong", ["", "00-xyz-1-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", "é"])
def test_a_malformed_trace_is_replaced(wrong):
    trace_id, parent = trace_of(wrong)
    assert len(trace_id) == 32
    assert parent is None


@on_both
def test_a_key_cannot_add_calls_to_the_trace_of_another_key(recorder, tmp_path, path):
    """The call of a known trace id could not be shown or marked by it any more."""
    keys = Keys(tmp_path / "keys.json")
    one, two = (keys.add(name, ["ask"])[1] for name in ("one", "two"))
    with listening(app_of(recorder=recorder, keys=keys)) as url:

        def trace_for(key):
            headers = {"x-api-key": key, "traceparent": TRACE}
            got = httpx.post(url + path, json=ASKED, headers=headers)
            return got.json()["trace_id"] if path == "/query" else events_in(got.text)[-1][1]["trace_id"]

        trace = trace_for(one)
        assert trace in TRACE
        assert trace_for(two) not in TRACE
        assert show_call(recorder.store, trace)["key_id"] == keys.find(one).id
        given = {"trace_id": trace, "thumb": "up"}
        assert httpx.post(f"{url}/feedback", json=given, headers={"x-api-key": one}).status_code == 200
        assert trace_for(one) == trace  # its own


def test_a_spent_budget_refuses_calls(recorder):
    answerer = FakeAnswerer(model="claude-sonnet-5-5", input_tokens=100_000)
    app = app_of(answerer, recorder, budget_usd_per_day=0.01)
    first, second = post(app), post(app)
    assert first.json()["cost_usd"] > 0.01
    assert (second.status_code, error_of(second)[0]) == (429, "budget_exceeded")
    assert int(second.headers["retry-after"]) <= 86_400
    assert [row["status"] for row in list_calls(recorder.store)["calls"]] == [429, 200]


def test_with_a_budget_no_model_is_asked_while_what_it_costs_cannot_be_written(recorder, monkeypatch):
    answerer = FakeAnswerer()
    app = app_of(answerer, recorder, budget_usd_per_day=9.0)
    with monkeypatch.context() as patched:
        patched.setattr(recorder.store, "put_call", "INSERT INTO nowhere VALUES (1)")
        got = post(app)
        assert (got.status_code, error_of(got)[0]) == (503, "telemetry_unavailable")
    assert not answerer.asked
    assert post(app).status_code == 200


def test_a_database_that_does_not_say_what_is_spent_holds_a_call_no_longer_than_its_timeout(recorder):
    app = app_of(FakeAnswerer(), recorder, budget_usd_per_day=9.0, timeout_s=0.2)
    app.state.service.budget = SimpleNamespace(check=lambda *_: time.sleep(1.0))
    got = post(app)
    assert (got.status_code, error_of(got)[0]) == (504, "timeout_error")
    assert not app.state.service.answerer.asked


PRICED = {"model": "claude-sonnet-5-5", "input_tokens": 164}  # $0.000508 a call
ROOM = 3  # calls that the budget has room for


@on_both
def test_many_calls_at_once_cannot_pass_a_budget(recorder, path):
    """Each reserves what it may cost before the next is checked."""
    answerer = FakeAnswerer(delay=60, **PRICED)
    [cost] = {cost_of(PRICED["model"], *answerer.most_tokens())}
    app = app_of(answerer, recorder, budget_usd_per_day=cost * (ROOM + 0.5), running=16, waiting=64)
    with listening(app) as url, ThreadPoolExecutor(80) as pool:
        asking = [pool.submit(httpx.post, url + path, json=ASKED, timeout=30) for _ in range(80)]
        until(lambda: sum(each.done() for each in asking) == 80 - ROOM)
        answerer.delay = 0
        got = [each.result() for each in asking]
        assert post(app).status_code == 429  # and now the true costs are counted
    assert sum(each.status_code == 200 for each in got) == ROOM
    refused = [each for each in got if each.status_code == 429]
    assert len(refused) == 80 - ROOM
    assert {error_of(each)[0] for each in refused} == {"budget_exceeded"}
    assert len(answerer.asked) == ROOM


@on_both
def test_leaving_does_not_pass_by_a_budget(recorder, path):
    answerer = FakeAnswerer(text="word " * 10_000, pace=0.01, **PRICED)
    cost = cost_of(PRICED["model"], *answerer.most_tokens())
    app = app_of(answerer, recorder, budget_usd_per_day=cost * (ROOM + 0.5))
    with listening(app) as url:
        for number in range(1, ROOM + 1):
            with (
                contextlib.suppress(httpx.ReadTimeout),
                httpx.stream("POST", url + path, json=ASKED, timeout=0.5) as got,
            ):
                next(got.iter_lines())
            until(lambda number=number: answerer.cancelled == number)
        got = httpx.post(url + path, json=ASKED)
    assert error_of(got)[0] == "budget_exceeded"
    costs = [row["cost_usd"] for row in list_calls(recorder.store)["calls"] if row["status"] == 499]
    assert costs == [pytest.approx(cost)] * ROOM


@on_both
@pytest.mark.parametrize(
    ("given", "status", "kind", "said"),
    [
        ({"error": ApiError(502, "api_error", "it broke off")}, 502, "api_error", "it broke off"),
        ({"error": RuntimeError("secret")}, 500, "api_error", "the server's log has it under"),
        ({"text": "word " * 1000, "pace": 0.01}, 504, "timeout_error", "from the model within 0.2 s"),
    ],
)
def test_a_failed_answer_is_an_error_and_its_row_has_what_was_found(path, given, status, kind, said, caplog):
    """As the status of the reply, or as the last event of a stream."""
    answerer = FakeAnswerer(**given)
    app = app_of(answerer, timeout_s=0.2)
    got = post(app, path)
    if path == STREAM:
        name, error = events_in(got.text)[-1]
        assert (got.status_code, name) == (200, "error")
    else:
        assert got.status_code == status
        error = got.json()["error"]
    assert (error["type"], answerer.running) == (kind, 0)
    assert said in error["message"]
    assert "secret" not in got.text
    [call] = calls_of(app)
    assert (call.status, call.error_type, call.sources) == (status, kind, [asdict(SOURCE)])
    if status == 500:
        assert call.trace_id in error["message"]
        assert "secret" in caplog.text


def test_a_question_that_reaches_no_model_is_refused_before_the_first_event_and_costs_nothing():
    app = app_of()
    got = post(app, STREAM, json={**ASKED, "prompt_version": 9})
    assert (got.status_code, error_of(got)[1]) == (404, "prompt_version 9 does not exist: there are 1, 2")
    assert post(app, STREAM, json={}).status_code == 400
    assert [call.cost_usd for call in calls_of(app)] == [0.0]


def test_pieces_are_sent_at_once_and_the_model_stops_when_the_client_leaves():
    answerer = FakeAnswerer(text="word " * 10_000, pace=0.005)
    app = app_of(answerer)
    with listening(app) as url:
        with httpx.stream("POST", f"{url}{STREAM}", json=ASKED) as got:
            assert [line for line in itertools.islice(got.iter_lines(), 12) if line == "event: delta"]
        until(lambda: calls_of(app))
    assert (answerer.cancelled, answerer.running) == (1, 0)
    assert app.state.service.admission.running == 0
    [call] = calls_of(app)
    assert (call.status, call.error_type, call.cost_usd) == (499, "client_gone", None)
    assert b"rag_cost_unknown_calls_total 1.0" in app.state.metrics.page()


@in_loop
async def test_a_silent_stream_sends_pings(monkeypatch):
    monkeypatch.setattr(live, "PING_EVERY", 0.02)
    got = await client_of(app_of(FakeAnswerer(text="one two", pace=0.2))).post(STREAM, json=ASKED)
    assert ": ping\n\n: ping\n\n" in got.text
    assert events_in(got.text)[-1][0] == "done"


@on_both
def test_a_waiting_caller_that_leaves_frees_its_place(path):
    answerer = FakeAnswerer(delay=60)
    app = app_of(answerer, running=1, waiting=1)
    with listening(app) as url, ThreadPoolExecutor(1) as pool:
        first = pool.submit(httpx.post, url + path, json=ASKED, timeout=30)
        until(lambda: answerer.running)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url + path, json=ASKED, timeout=0.2)
        until(lambda: calls_of(app))
        assert app.state.service.admission.waiting == 0
        answerer.delay = 0
        assert first.result().status_code == 200
    assert [call.status for call in calls_of(app)] == [499, 200]


@on_both
@in_loop
async def test_calls_without_room_get_503_at_once_and_a_row(path):
    answerer = FakeAnswerer(delay=60)
    app = app_of(answerer, running=2, waiting=3)
    asking = [asyncio.ensure_future(client_of(app).post(path, json=ASKED)) for _ in range(9)]
    await eventually(lambda: sum(each.done() for each in asking) == 4)
    refused = [each.result() for each in asking if each.done()]
    assert {got.status_code for got in refused} == {503}
    assert error_of(refused[0])[0] == "overloaded_error"
    assert 1 <= int(refused[0].headers["retry-after"]) <= 60
    answerer.delay = 0
    done = await asyncio.gather(*asking)
    assert sorted(got.status_code for got in done) == [200] * 5 + [503] * 4
    rows = calls_of(app)
    assert [call.cost_usd for call in rows if call.status == 503] == [0.0] * 4
    waited = [call.queue_ms for call in rows if call.status == 200]
    assert len(waited) == 5
    assert max(waited) > 0

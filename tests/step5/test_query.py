"""POST /query: the reply, its row, what is refused, and whether the work stops in time."""

import asyncio
from dataclasses import asdict

import pytest

from step5_serving.errors import ApiError
from step5_serving.rag.scripted import ANSWER, SOURCE, TEXT
from step5_serving.telemetry.call import trace_of
from step5_serving.telemetry.prices import Budget
from step5_serving.telemetry.reading import list_calls
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import (
    ASKED,
    FakeAnswerer,
    ListRecorder,
    app_of,
    ask_by_asgi,
    calls_of,
    client_of,
    error_of,
    eventually,
    in_loop,
    post,
    request,
)


def test_a_reply_says_how_the_answer_came_about_and_its_row_says_the_same():
    app = app_of()
    got = post(app, json={**ASKED, "k": 3, "collection": "contracts"})
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
    assert (call.question, call.answer) == (ASKED["question"], ANSWER)
    assert (call.sources, call.attempts[0]["took"]) == ([asdict(SOURCE)], True)
    assert (call.input_tokens, call.output_tokens, call.finish_reason) == (164, 18, "end_turn")
    assert (call.retrieve_ms, call.rerank_ms, call.generate_ms) == (4.0, 1.5, 20.0)
    assert call.total_ms == body["latency_ms"]["total"] > 0
    assert call.first_token_ms is not None
    assert call.parameters == {"k": 3, "collection": "contracts", "reader": "chat"}
    assert call.prompt == body["prompt_version"]
    assert call.prompt_text == "Answer from the sources, version 1."


def test_without_a_row_there_is_no_answer():
    recorder = ListRecorder()
    recorder.trouble = "the disk is full"
    app = app_of(recorder=recorder)
    got = post(app)
    assert got.status_code == 503
    assert error_of(got) == ("telemetry_unavailable", "the disk is full")
    assert got.headers["retry-after"]
    assert b'rag_calls_total{route="query",status="5xx"} 1.0' in app.state.metrics.page()
    recorder.trouble = None
    assert post(app).status_code == 200  # without a restart


@in_loop
async def test_an_answer_whose_caller_leaves_while_its_row_is_written_is_counted():
    recorder, calls = ListRecorder(), []

    async def slow(call):
        calls.append(call)
        await asyncio.sleep(9)

    recorder.record = slow
    app = app_of(FakeAnswerer(model="claude-sonnet-5-5"), recorder)
    async with client_of(app) as client:
        asking = asyncio.ensure_future(client.post("/query", json=ASKED))
        await eventually(lambda: calls)
        asking.cancel()
        await asyncio.wait([asking])
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


def test_what_was_found_before_the_model_failed_is_in_the_row():
    app = app_of(FakeAnswerer(error=ApiError(502, "api_error", "the engine failed")))
    assert post(app).status_code == 502
    [call] = calls_of(app)
    assert (call.status, call.error_type, call.confidence) == (502, "api_error", 0.97)
    assert call.sources[0]["text"] == TEXT


def test_a_bug_is_one_line_for_the_caller_and_all_of_it_for_the_log(caplog):
    app = app_of(FakeAnswerer(error=ZeroDivisionError("secret detail")))
    got = post(app)
    assert got.status_code == 500
    [call] = calls_of(app)
    assert error_of(got) == (
        "api_error",
        f"internal error: the server's log has it under {call.trace_id}",
    )
    assert "secret detail" in caplog.text
    assert (call.status, call.error_type) == (500, "api_error")


def test_the_trace_of_the_caller_is_kept():
    app, trace = app_of(), "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    assert post(app, headers=headers).json()["trace_id"] == trace
    assert calls_of(app)[0].parent_span_id == "00f067aa0ba902b7"


@pytest.mark.parametrize("wrong", ["", "00-xyz-1-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", "é"])
def test_a_malformed_trace_is_replaced(wrong):
    trace_id, parent = trace_of(wrong)
    assert len(trace_id) == 32
    assert parent is None


def test_the_trace_id_of_a_call_decides_the_version_of_its_prompt():
    class Picking(FakeAnswerer):
        async def answer(self, query, call, write, tell):
            version = 1 + int(call.trace_id, 16) % 2
            await super().answer(query.model_copy(update={"prompt_version": version}), call, write, tell)

    app = app_of(Picking())
    for last in "01":
        trace = {"traceparent": f"00-{'a' * 31}{last}-{'b' * 16}-01"}
        assert post(app, headers=trace).json()["prompt_version"].startswith(f"answer/{1 + int(last)}@")


@pytest.fixture
def recorder(tmp_path):
    recorder = Recorder.from_url(str(tmp_path / "telemetry.db"))
    yield recorder
    asyncio.run(recorder.close())


def test_a_spent_budget_refuses_calls(recorder):
    answerer = FakeAnswerer(model="claude-sonnet-5-5", input_tokens=100_000)
    app = app_of(answerer, recorder, budget=Budget(0.01, recorder.store))
    first, second = post(app), post(app)
    assert first.json()["cost_usd"] > 0.01
    assert (second.status_code, error_of(second)[0]) == (429, "budget_exceeded")
    assert int(second.headers["retry-after"]) <= 86_400
    assert [row["status"] for row in list_calls(recorder.store)["calls"]] == [429, 200]


def test_with_a_budget_no_model_is_asked_while_what_it_costs_cannot_be_written(recorder):
    answerer = FakeAnswerer()
    app = app_of(answerer, recorder, budget=Budget(9.0, recorder.store))
    recorder.trouble = "the disk is full"
    got = post(app)
    assert (got.status_code, error_of(got)[0]) == (503, "telemetry_unavailable")
    assert not answerer.asked
    assert post(app).status_code == 200  # the row of the refusal was written


@in_loop
async def test_a_call_that_takes_too_long_is_a_504_and_its_work_stops():
    answerer = FakeAnswerer(gate=asyncio.Event())
    app = app_of(answerer, timeout_s=0.05)
    async with client_of(app) as client:
        got = await client.post("/query", json=ASKED)
    assert got.status_code == 504
    assert error_of(got) == ("timeout_error", "no answer from the model within 0.05 s: try again later")
    assert (answerer.cancelled, answerer.running) == (1, 0)
    [call] = calls_of(app)
    assert (call.status, call.error_type) == (504, "timeout_error")
    assert call.total_ms >= 50


@pytest.mark.parametrize("path", ["/query", "/query/stream"])
@in_loop
async def test_a_waiting_caller_that_leaves_frees_its_place(path):
    answerer = FakeAnswerer(gate=asyncio.Event())
    app = app_of(answerer, running=1, waiting=1)
    admission = app.state.service.admission

    async def ignore(_message):
        pass

    async with client_of(app) as client:
        first = asyncio.ensure_future(client.post("/query", json=ASKED))
        await eventually(lambda: answerer.running)
        await ask_by_asgi(app, path, ignore, begun=lambda: admission.waiting)
        assert admission.waiting == 0
        answerer.gate.set()
        assert (await first).status_code == 200
    assert sorted(call.status for call in calls_of(app)) == [200, 499]


@in_loop
async def test_calls_without_room_get_503_at_once():
    answerer = FakeAnswerer(gate=asyncio.Event())
    app = app_of(answerer, running=2, waiting=3)
    async with client_of(app) as client:
        asking = [asyncio.ensure_future(client.post("/query", json=ASKED)) for _ in range(9)]
        await eventually(lambda: sum(each.done() for each in asking) == 4)
        refused = [each.result() for each in asking if each.done()]
        assert {got.status_code for got in refused} == {503}
        assert error_of(refused[0])[0] == "overloaded_error"
        assert 1 <= int(refused[0].headers["retry-after"]) <= 60
        answerer.gate.set()
        done = await asyncio.gather(*asking)
    assert sorted(got.status_code for got in done) == [200] * 5 + [503] * 4
    waited = [call.queue_ms for call in calls_of(app) if call.status == 200]
    assert len(waited) == 5
    assert max(waited) > 0

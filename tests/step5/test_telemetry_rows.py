"""Each call has a row: when it is written, what a restart does to it, and what is only counted."""

import asyncio
import sqlite3
import subprocess
import sys
from datetime import timedelta

import pytest

from step5_serving.api.keys import Keys
from step5_serving.errors import TelemetryDown
from step5_serving.telemetry import owner
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.reading import list_calls, show_call
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.summary import summarize
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import (
    ASKED,
    FakeAnswerer,
    ListRecorder,
    app_of,
    calls_of,
    client_of,
    eventually,
    in_loop,
    post,
    request,
)
from tests.step5.telemetry_parts import call_of, record

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
DAY = timedelta(days=1)


# --- streams -------------------------------------------------------------------------------------------


@in_loop
async def test_a_stream_has_a_row_before_its_first_byte_and_one_row_at_its_end(tmp_path):
    url, answerer = f"sqlite:///{tmp_path}/t.db", FakeAnswerer(gate=asyncio.Event())
    recorder = Recorder.from_url(url)
    store, app = Store.open(url), app_of(answerer, recorder)
    async with client_of(app) as client:
        asking = asyncio.ensure_future(client.post("/query/stream", json=ASKED, headers=TRACEPARENT))
        await eventually(lambda: answerer.running)
        [row] = list_calls(store)["calls"]
        assert (row["state"], row["trace_id"], row["question"]) == ("running", TRACE, ASKED["question"])
        found = summarize(store, DAY)
        assert (found["running"], found["unknown_costs"], found["errors"]) == (1, 0, 0)
        answerer.gate.set()
        await asking
    [row] = list_calls(store)["calls"]
    assert (row["state"], row["status"], row["output_tokens"]) == ("done", 200, 18)
    await recorder.close()


def test_a_stream_whose_row_cannot_be_opened_sends_nothing():
    recorder = ListRecorder()
    recorder.trouble = "the disk is full"
    got = post(app_of(recorder=recorder), "/query/stream")
    assert (got.status_code, got.json()["error"]["type"]) == (503, "telemetry_unavailable")


@in_loop
async def test_calls_of_a_dead_process_are_lost_and_those_of_others_are_not(database):
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    names = {"dead": owner.owner_of(dead.pid), "alive": owner.OWNER, "elsewhere": "another-machine/1/1"}
    dead.kill()
    dead.wait()
    recorder = Recorder.from_url(database)
    calls = {name: Call("query", 200, question=name) for name in names}
    for name, call in calls.items():
        await recorder.open(call)
        with recorder.store.writing() as connection:
            statement = f"UPDATE calls SET opened_by = '{names[name]}' WHERE span_id = '{call.span_id}'"
            connection.exec_driver_sql(statement)
    await recorder.close()

    recorder = Recorder.from_url(database)
    states = {row["question"]: row["state"] for row in list_calls(recorder.store)["calls"]}
    assert states == {"dead": "lost", "alive": "running", "elsewhere": "running"}
    found = summarize(recorder.store, DAY)
    assert (found["lost"], found["running"], found["errors"], found["unknown_costs"]) == (1, 2, 1, 1)
    await recorder.record(calls["alive"])
    assert len(list_calls(recorder.store)["calls"]) == 3
    await recorder.close()


@in_loop
async def test_an_open_row_is_lost_after_an_hour_whoever_opened_it(tmp_path):
    url = str(tmp_path / "telemetry.db")
    recorder = Recorder.from_url(url)
    await recorder.open(call_of())  # at a noon long ago
    await recorder.close()
    store = Store.open(url)
    assert store.mark_lost() == 1
    assert store.mark_lost() == 0


# --- refusals: a row if there was no room, a count for the others ----------------------------------------


@pytest.mark.parametrize("path", ["/query", "/query/stream"])
def test_too_many_requests_have_rows(path):
    app = app_of(rate=0.001, burst=1)
    got = [post(app, path, headers=TRACEPARENT) for _ in range(2)][-1]
    assert got.status_code == 429
    last = calls_of(app)[-1]
    assert (last.status, last.error_type, last.trace_id) == (429, "rate_limit_error", TRACE)
    assert last.cost_usd == 0.0
    assert b'rag_refusals_total{route="%b",status="429"}' % path.encode() not in app.state.metrics.page()


@pytest.mark.parametrize("path", ["/query", "/query/stream"])
def test_a_question_without_room_has_a_row(path):
    app = app_of(running=1, waiting=0)
    app.state.service.admission.running = 1
    assert post(app, path).status_code == 503
    [call] = calls_of(app)
    assert (call.status, call.question, call.cost_usd) == (503, ASKED["question"], 0.0)
    assert b"rag_refusals_total{" not in app.state.metrics.page()


REFUSED = {
    (401, "/query"): ("POST", "/query", {"json": ASKED}),
    (400, "/query"): ("POST", "/query", {"json": {}, "headers": {"x-api-key": "KEY"}}),
    (403, "/telemetry/summary"): ("GET", "/telemetry/summary", {"headers": {"x-api-key": "KEY"}}),
    (404, "other"): ("GET", "/nowhere", {}),
    (405, "/query"): ("GET", "/query", {}),
    (413, "/query"): ("POST", "/query", {"content": b"x", "headers": {"content-length": "9999999"}}),
    (421, "/query"): ("POST", "/query", {"json": ASKED, "headers": {"host": "evil.example"}}),
    (403, "/query"): ("POST", "/query", {"json": ASKED, "headers": {"origin": "http://evil.example"}}),
}


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_other_refusals_are_counted_by_route_and_status(refused, tmp_path):
    (status, route), (method, path, options) = refused, REFUSED[refused]
    keys = Keys(tmp_path / "keys.json")
    _, key = keys.add("somebody", ["ask"])
    headers = {name: value.replace("KEY", key) for name, value in options.get("headers", {}).items()}
    app = app_of(keys=keys)
    assert request(app, method, path, **{**options, "headers": headers}).status_code == status
    assert calls_of(app) == []
    lines = app.state.metrics.page().decode().splitlines()
    counted = [line for line in lines if line.startswith("rag_refusals_total{")]
    assert counted == [f'rag_refusals_total{{route="{route}",status="{status}"}} 1.0']


# --- values that no database takes -------------------------------------------------------------------------


def test_counts_that_a_database_cannot_hold_are_unknown(database):
    record(database, call_of(trace_id=TRACE, input_tokens=2**80, output_tokens=-1))
    row = show_call(Store.open(database), TRACE)
    assert (row["input_tokens"], row["output_tokens"]) == (None, None)


@in_loop
async def test_a_value_that_the_driver_refuses_leaves_no_transaction_open(tmp_path):
    recorder = Recorder.from_url(f"sqlite:///{tmp_path}/t.db")
    with pytest.raises(TelemetryDown, match="could not be written"):
        await recorder.record(call_of(prompt_version=2**80))
    with sqlite3.connect(tmp_path / "t.db", timeout=0.1) as other:
        other.execute("BEGIN IMMEDIATE")
        other.rollback()
    await recorder.record(call_of())
    await recorder.close()


# --- costs -------------------------------------------------------------------------------------------------


@in_loop
async def test_the_cost_of_an_abandoned_answer_is_unknown():
    answerer = FakeAnswerer(gate=asyncio.Event())
    app = app_of(answerer)
    async with client_of(app) as client:
        asking = asyncio.ensure_future(client.post("/query", json=ASKED))
        await eventually(lambda: answerer.running)
        asking.cancel()
        await eventually(lambda: calls_of(app))
    [call] = calls_of(app)
    assert (call.status, call.cost_usd) == (499, None)
    assert b"rag_cost_unknown_calls_total 1.0" in app.state.metrics.page()


def test_a_refused_call_costs_nothing():
    app = app_of()
    assert post(app, json={**ASKED, "prompt_version": 99}).status_code == 404
    [call] = calls_of(app)
    assert call.cost_usd == 0.0

"""POST /query/stream: its events, how it ends after an error, and clients that leave."""

import pytest

from step5_serving.api import live
from step5_serving.errors import ApiError, TelemetryDown
from step5_serving.rag.scripted import ANSWER
from tests.step5.service_parts import (
    ASKED,
    FakeAnswerer,
    ListRecorder,
    app_of,
    ask_by_asgi,
    calls_of,
    client_of,
    error_of,
    events_in,
    in_loop,
    post,
)

STREAM = "/query/stream"


def test_the_events_of_an_answer():
    app = app_of()
    got = post(app, STREAM)
    assert got.status_code == 200
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert got.headers["cache-control"] == "no-store"
    events = events_in(got.text)
    assert events[0][0] == "retrieved"
    assert events[0][1]["sources"][0]["document"] == "contracts/supply-brightwell.md"
    assert events[0][1]["confidence"] == 0.97
    assert [name for name, _ in events[1:-1]] == ["delta"] * len(ANSWER.split())
    assert "".join(data["text"] for _, data in events[1:-1]) == ANSWER
    assert events[-1][0] == "done"
    assert events[-1][1].keys() == post(app).json().keys()
    assert calls_of(app)[0].trace_id == events[-1][1]["trace_id"]


@in_loop
async def test_pieces_are_sent_at_once_and_the_model_stops_when_the_client_leaves():
    answerer, sent = FakeAnswerer(text="word " * 1000, pace=0.005), []
    app = app_of(answerer)

    async def send(message):
        sent.append(message.get("body", b""))

    await ask_by_asgi(app, STREAM, send, begun=lambda: b"".join(sent).count(b"delta") >= 3)
    assert (answerer.cancelled, answerer.running) == (1, 0)
    assert app.state.service.admission.running == 0
    assert [(call.status, call.error_type) for call in calls_of(app)] == [(499, "client_gone")]
    assert b"".join(sent).count(b"delta") < 50


def test_a_refusal_before_the_first_event_has_its_status():
    got = post(app_of(), STREAM, json={**ASKED, "prompt_version": 9})
    assert got.status_code == 404
    assert "does not exist" in error_of(got)[1]
    assert post(app_of(), STREAM, json={}).status_code == 400


@pytest.mark.parametrize(
    ("given", "status", "kind", "said"),
    [
        ({"error": ApiError(502, "api_error", "it broke off")}, 502, "api_error", "it broke off"),
        ({"error": RuntimeError("secret")}, 500, "api_error", "internal error"),
        ({"text": "word " * 1000, "pace": 0.01}, 504, "timeout_error", "within 0.2 s"),
    ],
)
def test_an_error_in_the_middle_is_the_last_event(given, status, kind, said):
    answerer = FakeAnswerer(**given)
    app = app_of(answerer, timeout_s=0.2)
    got = post(app, STREAM)
    assert got.status_code == 200
    name, data = events_in(got.text)[-1]
    assert (name, data["type"], answerer.running) == ("error", kind, 0)
    assert said in data["message"]
    assert "secret" not in got.text
    assert [call.status for call in calls_of(app)] == [status]


def test_without_a_row_there_is_no_done_event():
    recorder = ListRecorder()

    async def record(call):
        raise TelemetryDown("the disk is full")

    recorder.record = record
    events = events_in(post(app_of(recorder=recorder), STREAM).text)
    assert events[-1] == ("error", {"type": "telemetry_unavailable", "message": "the disk is full"})
    assert "done" not in [name for name, _ in events]


@in_loop
async def test_a_silent_stream_sends_pings(monkeypatch):
    monkeypatch.setattr(live, "PING_EVERY", 0.02)
    async with client_of(app_of(FakeAnswerer(text="one two", pace=0.2))) as client:
        got = await client.post(STREAM, json=ASKED)
    assert ": ping\n\n: ping\n\n" in got.text
    assert events_in(got.text)[-1][0] == "done"

"""The app around the routes: health, errors of any route, OpenAPI's own page, telemetry's routes."""

import asyncio
from types import SimpleNamespace

import pytest

from step5_serving.rag.scripted import ScriptedAnswerer
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import (
    ASKED,
    ListRecorder,
    app_of,
    client_of,
    error_of,
    get,
    in_loop,
    post,
    request,
)


def test_alive_and_ready():
    app = app_of()
    assert get(app, "/healthz").json() == {"alive": True}
    assert get(app, "/readyz").json() == {"ready": True, "reason": None}


@pytest.mark.parametrize("what", ["answerer", "recorder"])
def test_what_is_not_ready_says_why_and_is_alive(what):
    recorder, answerer = ListRecorder(), ScriptedAnswerer()
    if what == "answerer":
        answerer.not_ready = "the vector store is gone"
    else:
        recorder.trouble = "the disk is full"
    app = app_of(answerer, recorder)
    got = get(app, "/readyz")
    assert got.status_code == 503
    assert got.json() == {"ready": False, "reason": answerer.not_ready or recorder.trouble}
    assert get(app, "/healthz").status_code == 200


def test_one_that_stops_is_not_ready_and_lets_nobody_in():
    app = app_of()
    app.state.service.drain()
    assert get(app, "/readyz").json()["reason"] == "the server is stopping"
    assert get(app, "/healthz").status_code == 200
    got = post(app)
    assert got.status_code == 503
    assert got.headers["retry-after"] == "1"
    assert "stopping" in error_of(got)[1]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not_found_error"),
        ("GET", "/query", 405, "invalid_request_error"),
        ("PUT", "/query", 405, "invalid_request_error"),
        ("GET", "/telemetry/calls?limit=0", 400, "invalid_request_error"),
        ("GET", "/telemetry/calls?before=x", 400, "invalid_request_error"),
        ("DELETE", "/documents/x", 400, "invalid_request_error"),
        ("DELETE", "/documents/1", 404, "not_found_error"),
    ],
)
def test_every_error_is_one_line_in_the_same_form(method, path, status, kind):
    got = request(app_of(), method, path)
    assert got.status_code == status
    found, message = error_of(got)
    assert found == kind
    assert message
    assert "traceback" not in got.text.lower()


def test_openapi_is_complete_and_wants_nothing_from_elsewhere():
    app = app_of()
    schema = get(app, "/openapi.json").json()
    assert {"/query", "/query/stream", "/ingest", "/documents/{id}"} <= set(schema["paths"])
    assert {"/healthz", "/readyz", "/metrics", "/telemetry/summary"} <= set(schema["paths"])
    answers = schema["paths"]["/query"]["post"]["responses"]
    assert set(answers) == {"200", "4XX", "5XX"}
    assert schema["components"]["schemas"]["Query"]["examples"]
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "x-api-key"}
    for path in ("/docs", "/redoc"):
        assert get(app, path).status_code == 404


@in_loop
async def test_telemetry_is_read_back(tmp_path):
    recorder = Recorder.from_url(f"sqlite:///{tmp_path / 'telemetry.db'}")
    app = app_of(recorder=recorder)
    async with client_of(app) as client:
        bodies = await asyncio.gather(*(client.post("/query", json=ASKED) for _ in range(5)))
        trace = bodies[0].json()["trace_id"]
        summary = (await client.get("/telemetry/summary?since=1h")).json()
        assert (summary["calls"], summary["errors"], summary["unknown_costs"]) == (5, 0, 5)
        assert summary["tokens"] == {"input": 5 * 164, "output": 5 * 18}
        page = (await client.get("/telemetry/calls?limit=2")).json()
        assert len(page["calls"]) == 2
        rest = (await client.get(f"/telemetry/calls?limit=9&before={page['next']}")).json()
        assert len(rest["calls"]) == 3
        whole = (await client.get(f"/telemetry/calls/{trace}")).json()
        assert whole["question"] == ASKED["question"]
        assert whole["prompt"]["text"] == "Answer from the sources, version 1."
        assert (await client.get(f"/telemetry/calls/{'0' * 32}")).status_code == 404
        assert (await client.get("/telemetry/calls/zz")).status_code == 400
        assert (await client.get("/telemetry/summary?since=yesterday")).status_code == 400
    await recorder.close()


@in_loop
async def test_its_life_ends_with_all_that_it_opened():
    recorder, answerer, closed = ListRecorder(), ScriptedAnswerer(), []
    spans = SimpleNamespace(export=None, close=lambda: closed.append("spans"))
    app = app_of(answerer, recorder, spans=spans)
    async with app.router.lifespan_context(app):
        assert not answerer.is_closed
    assert (answerer.is_closed, recorder.closed, closed) == (True, True, ["spans"])

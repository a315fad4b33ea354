"""The app around the routes: health, its log, errors of any route, OpenAPI, shutdown."""

import asyncio
from types import SimpleNamespace

import pytest

from step5_serving.api.keys import Keys
from step5_serving.errors import ApiError
from tests.step5.service_parts import (
    ASKED,
    FakeAnswerer,
    ListRecorder,
    app_of,
    calls_of,
    client_of,
    error_of,
    eventually,
    get,
    in_loop,
    post,
    request,
)


def test_a_part_that_breaks_is_logged_once_and_once_when_it_works_again(caplog):
    answerer, recorder = FakeAnswerer(), ListRecorder()
    app = app_of(answerer, recorder)
    answerer.error = ApiError(503, "api_error", "the process of the model ended")
    assert [post(app).status_code for _ in range(3)] == [503] * 3
    answerer.error, recorder.trouble = None, "database or disk is full"
    assert [post(app).status_code for _ in range(3)] == [503] * 3
    got = get(app, "/readyz")
    assert (got.status_code, got.json()) == (503, {"ready": False, "reason": "database or disk is full"})
    assert get(app, "/healthz").json() == {"alive": True}
    recorder.trouble = None
    assert [post(app).status_code for _ in range(2)] == [200] * 2
    assert get(app, "/readyz").json() == {"ready": True, "reason": None}
    assert caplog.messages == [
        "model: the process of the model ended",
        "model: works again",
        "telemetry: database or disk is full",
        "telemetry: works again",
    ]


REFUSED = [  # by whom, what, the reply, and the route for which it is counted
    ("operate", "GET", "/nowhere", {}, 404, "not_found_error", "other"),
    ("operate", "GET", "/docs", {}, 404, "not_found_error", "other"),  # it would load scripts from elsewhere
    ("ask", "PUT", "/query", {}, 405, "invalid_request_error", "/query"),
    ("ask", "POST", "/query", {"json": {}}, 400, "invalid_request_error", "/query"),
    ("operate", "GET", "/telemetry/calls?limit=0", {}, 400, "invalid_request_error", "/telemetry/calls"),
    ("operate", "GET", "/telemetry/summary?since=x", {}, 400, "invalid_request_error", "/telemetry/summary"),
    ("operate", "DELETE", "/documents/x", {}, 400, "invalid_request_error", "/documents/{id}"),
    ("operate", "DELETE", "/documents/1", {}, 404, "not_found_error", "/documents/{id}"),
    ("nobody", "POST", "/query", {"json": ASKED}, 401, "authentication_error", "/query"),
    ("ask", "GET", "/telemetry/summary", {}, 403, "permission_error", "/telemetry/summary"),
    ("ask", "POST", "/query", {"content": b"x" * 70_000}, 413, "request_too_large", "/query"),
    ("ask", "POST", "/query", {"headers": {"host": "evil.example"}}, 421, "invalid_request_error", "other"),
    ("ask", "POST", "/query", {"headers": {"origin": "http://evil"}}, 403, "permission_error", "other"),
]


@pytest.mark.parametrize(("who", "method", "path", "options", "status", "kind", "route"), REFUSED)
def test_refusals_have_one_form_and_are_counted(tmp_path, who, method, path, options, status, kind, route):
    """They have no row. What the client sent is never a label: each new value would be a new series."""
    keys = Keys(tmp_path / "keys.json")
    secrets = {scope: keys.add(scope, [scope])[1] for scope in ("ask", "operate")}
    app, given = app_of(keys=keys), options.get("headers", {})
    headers = {"content-type": "application/json", "x-api-key": secrets.get(who, "")}
    got = request(app, method, path, **{**options, "headers": headers | given})
    assert (got.status_code, error_of(got)[0]) == (status, kind)
    assert calls_of(app) == []
    lines = app.state.metrics.page().decode().splitlines()
    counted = [line for line in lines if line.startswith("rag_refusals_total{")]
    assert counted == [f'rag_refusals_total{{route="{route}",status="{status}"}} 1.0']


def test_openapi_has_examples_and_names_the_ways_to_send_a_key():
    parts = get(app_of(), "/openapi.json").json()["components"]
    assert parts["schemas"]["Query"]["examples"]
    assert set(parts["securitySchemes"]) == {"bearer", "x-api-key"}


@in_loop
async def test_shutdown_lets_calls_finish_and_closes_everything():
    recorder, answerer, closed = ListRecorder(), FakeAnswerer(delay=0.1), []
    spans = SimpleNamespace(export=lambda call: None, close=lambda: closed.append("spans"))
    app = app_of(answerer, recorder, spans=spans, running=1)
    client = client_of(app)
    async with app.router.lifespan_context(app):
        asking = [asyncio.ensure_future(client.post("/query", json=ASKED)) for _ in range(2)]
        await eventually(lambda: app.state.service.admission.waiting)
        assert not answerer.is_closed
    assert (answerer.running, answerer.is_closed, recorder.closed, closed) == (0, True, True, ["spans"])
    assert [each.status_code for each in await asyncio.gather(*asking)] == [200, 200]

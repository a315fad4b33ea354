"""The operator's log: one line when a part breaks, and one when it works again."""

import asyncio

import pytest

from step5_serving.api import app as apps
from step5_serving.api.keys import Keys
from step5_serving.errors import ApiError
from step5_serving.rag.scripted import ScriptedAnswerer
from tests.step5.service_parts import ListRecorder, app_of, client_of, eventually, get, in_loop, post


@pytest.fixture
def said(caplog):
    return lambda: [text for text in caplog.messages if text.startswith(("model: ", "telemetry: ", "keys: "))]


def test_a_dead_model_is_logged_once(said):
    answerer = ScriptedAnswerer()
    app, answer = app_of(answerer), answerer.answer

    async def dead(*_args, **_more):
        raise ApiError(503, "api_error", "the process of the model ended", retry_after=2)

    answerer.answer = dead
    assert [post(app).status_code for _ in range(3)] == [503] * 3
    assert said() == ["model: the process of the model ended"]
    answerer.answer = answer
    assert [post(app).status_code for _ in range(2)] == [200] * 2
    assert said()[1:] == ["model: works again"]


def test_a_lost_database_is_logged_once(said):
    recorder, trouble = ListRecorder(), "database or disk is full"
    app = app_of(recorder=recorder)
    recorder.trouble = trouble
    assert [post(app).status_code for _ in range(3)] == [503] * 3
    assert get(app, "/readyz").status_code == 503
    assert said() == [f"telemetry: {trouble}"]
    recorder.trouble = None
    assert post(app).status_code == 200
    assert said()[1:] == ["telemetry: works again"]


def test_an_unreadable_key_file_is_logged_once(said, tmp_path):
    now, path = [0.0], tmp_path / "keys.json"
    keys = Keys(path, clock=lambda: now[0])
    _, text = keys.add("alice", ["ask"])
    app = app_of(keys=keys)
    path.write_text("")
    for now[0] in (2.0, 4.0, 6.0):
        assert post(app, headers={"x-api-key": text}).status_code == 503
        assert get(app, "/readyz").status_code == 503
    [line] = said()
    assert line.startswith(f"keys: {path} is not a file of keys")


@in_loop
async def test_an_idle_server_notices_it_too(said, monkeypatch):
    monkeypatch.setattr(apps, "WATCH_S", 0.01)
    recorder = ListRecorder()
    app = app_of(recorder=recorder)
    async with app.router.lifespan_context(app), client_of(app):
        recorder.trouble = "the database is gone"
        await eventually(said)
        recorder.trouble = None
        await eventually(lambda: len(said()) == 2)
        await asyncio.sleep(0.05)
    assert said() == ["telemetry: the database is gone", "telemetry: works again"]

"""The engine as a server: the Messages API over HTTP on a scripted model, and its life as a child process."""

import contextlib
import io
import subprocess
import sys
import time

import anthropic
import httpx
import psutil
import pytest

from shared.config import load_settings
from shared.embedded import endpoint
from shared.embedded.backend import Backend
from shared.embedded.wire import validate_request
from shared.errors import UserError
from step5_serving.addresses import listening
from step5_serving.config import Options
from step5_serving.engines.__main__ import backend_of
from step5_serving.engines.choice import resolve
from step5_serving.engines.engine import EngineProcess, _environment
from step5_serving.engines.server import create_app
from tests.shared.fake_engine import FakeEngine
from tests.step5.service_parts import line_of, until

HELLO = {"model": "tiny", "max_tokens": 12, "messages": [{"role": "user", "content": "Hello"}]}
ENUM = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}
SCHEMA = {"format": {"type": "json_schema", "schema": {**ENUM, "additionalProperties": False}}}


@contextlib.contextmanager
def serving(backend):
    """The app on a real port, once its model is loaded."""
    _ = backend.engine
    with listening(create_app(backend)) as address:
        yield address


def served(*says, **options):
    return serving(Backend(load_settings(model="tiny"), FakeEngine(*says, **options)))


# --- the routes ---------------------------------------------------------------------------------------


def test_the_sdk_gets_messages_and_events():
    with served("Good ", "morning") as address:
        client = anthropic.Anthropic(base_url=address, api_key="none", max_retries=0)
        assert client.messages.create(**HELLO).content[0].text == "Good morning"
        with client.messages.stream(**HELLO) as stream:
            assert list(stream.text_stream) == ["Good ", "morning"]
            assert stream.get_final_message().usage.output_tokens == 2
        assert [each.id for each in client.models.list()] == ["tiny"]


def test_refusals_are_those_of_the_api_and_pages_cannot_reach_it():
    as_json = {"headers": {"content-type": "application/json"}}
    with served("x") as address:
        for given, status, line in [
            ({"json": {**HELLO, "model": "claude-opus-5"}}, 404, "model: claude-opus-5 (here is tiny)"),
            ({"content": b"{", **as_json}, 400, "JSON"),
            ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, "application/json"),
        ]:
            got = httpx.post(f"{address}/v1/messages", **given)
            assert (got.status_code, got.json()["type"]) == (status, "error")
            assert line in got.json()["error"]["message"]
        assert httpx.get(f"{address}/v1/models", headers={"host": "evil.example"}).status_code == 400


def test_a_bug_in_the_middle_is_an_error_event():
    with served("a", "b", "c", fails=KeyError("secret")) as address:
        got = httpx.post(f"{address}/v1/messages", json={**HELLO, "stream": True})
        assert got.text.rstrip().rsplit("\n\n", 1)[1].startswith("event: error")
        assert "secret" not in got.text
        assert httpx.post(f"{address}/v1/messages", json=HELLO).status_code == 500


@pytest.mark.parametrize("stream", [True, False])
def test_the_model_stops_when_the_client_leaves(stream):
    def slowly():
        for _ in range(500):
            time.sleep(0.02)
            yield "word "

    engine = FakeEngine()
    engine.says = slowly()
    with serving(Backend(load_settings(model="tiny"), engine)) as address:
        body = {**HELLO, "max_tokens": 500, "stream": stream}
        if stream:
            with httpx.stream("POST", f"{address}/v1/messages", json=body) as reply:
                next(reply.iter_bytes())
        else:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{address}/v1/messages", json=body, timeout=0.5)
        until(lambda: engine.closed == 1)
    assert engine.generated < 400


# --- the process --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch(tiny_settings):
    engine = resolve("torch", options=Options(4), settings=tiny_settings)
    engine.warm_up()
    yield engine
    engine.close()


def has_ended(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_other_users_of_this_machine_need_its_key(torch):
    address = torch.settings.base_url
    for headers in ({}, {"x-api-key": "none"}, {"authorization": "Bearer none"}, {"x-api-key": "é".encode()}):
        for method, path in (("POST", "/v1/messages"), ("GET", "/v1/models"), ("GET", "/nowhere")):
            got = httpx.request(method, address + path, json=HELLO, headers=headers)
            assert (got.status_code, got.json()["error"]["type"]) == (401, "authentication_error")
    assert httpx.get(f"{address}/health").status_code == 200
    assert [each.id for each in torch.client().models.list()] == ["tiny"]
    key = torch.client().api_key
    assert key not in " ".join(psutil.Process(torch._child.pid).cmdline())
    assert httpx.get(f"{address}/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200


def test_it_answers_as_the_model_in_this_process(torch, tiny_settings):
    backend = backend_of("torch", tiny_settings, Options(4))
    for more in [
        {},
        {"max_tokens": 60, "output_config": SCHEMA},
        {"system": "Be brief. 日本語 🙂", "messages": [{"role": "user", "content": "line\nbreak\u2028and"}]},
    ]:
        said = torch.client().messages.create(**{**HELLO, **more})
        answer = backend.answer(validate_request({**HELLO, **more}))
        here = endpoint.assemble_message(endpoint.events(answer, "tiny"))
        assert [each.text for each in said.content] == [each["text"] for each in here["content"]]
        assert (said.stop_reason, said.stop_sequence) == (here["stop_reason"], here["stop_sequence"])
        assert said.usage.output_tokens == here["usage"]["output_tokens"]


def test_one_that_is_frozen_is_noticed_and_one_that_is_killed_starts_again(torch, monkeypatch, caplog):
    monkeypatch.setattr("step5_serving.engines.engine.HEALTH_S", 1.0)
    first = psutil.Process(torch._child.pid)
    first.suspend()
    until(lambda: first.status() == psutil.STATUS_STOPPED)
    assert "does not answer" in torch.trouble()
    first.resume()
    until(lambda: torch.trouble() is None, 20)
    first.kill()
    until(lambda: torch._child.pid != first.pid)
    assert torch.trouble() in ("the engine torch is starting", None) or "starts again" in torch.trouble()
    until(lambda: torch.trouble() is None, 60)
    assert torch.client().messages.create(**HELLO).usage.output_tokens == 12
    last = torch._child.pid
    torch.close()
    until(lambda: has_ended(last), 15)
    assert [each.message for each in caplog.records if "ended" in each.message] == [
        "the engine torch ended (signal 9): it is started again"
    ]


STARTS_ONE = """
from shared.config import load_settings
from step5_serving.config import Options
from step5_serving.engines.engine import EngineProcess
print(EngineProcess("torch", load_settings(model="tiny"), Options())._child.pid, flush=True)
input()
"""


def test_it_ends_with_the_service_however_that_ends():
    with subprocess.Popen([sys.executable, "-c", STARTS_ONE], stdin=-1, stdout=-1, text=True) as service:
        engine = int(line_of(service.stdout))
        assert not has_ended(engine)
        service.kill()
    until(lambda: has_ended(engine), 15)


def test_a_model_that_cannot_be_had_is_said_in_the_words_of_the_engine(tiny_settings, monkeypatch):
    """Also if nobody can read what else it says."""
    says = "import sys; sys.exit('a warning\\nerror: no weights')"
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    monkeypatch.setattr("step5_serving.engines.engine.COMMAND", [sys.executable, "-c", says])
    with contextlib.closing(EngineProcess("torch", tiny_settings, Options())) as engine:
        until(lambda: engine.trouble() == "no weights")
        with pytest.raises(UserError, match=r"^no weights$"):
            engine.warm_up()


def test_keys_stay_with_the_service(tiny_settings, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("ROADMAP_BASE_URL_KEY", "other-secret")
    assert "secret" not in str(_environment(load_settings(model="tiny")))

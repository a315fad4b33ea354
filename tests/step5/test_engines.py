"""Which engine a flag means, what its clients reach, and one line for whatever is wrong."""

import pytest

from shared.config import load_settings
from shared.errors import UserError
from step5_serving.config import Options
from step5_serving.engines import choice as engines
from step5_serving.engines import process
from step5_serving.engines.__main__ import backend_of
from step5_serving.engines.choice import resolve
from tests.step5.stand_in_engine import WORDS, StandInEngine

HELLO = {"max_tokens": 12, "messages": [{"role": "user", "content": "Hello there"}]}


@pytest.fixture
def server():
    """A server with two models."""
    with StandInEngine() as engine:
        engine.models = (200, {"data": [{"id": "qwen3:4b"}, {"id": "smollm2:135m"}]})
        yield engine


# --- ours ---------------------------------------------------------------------------------------------


def test_without_a_flag_the_settings_decide(monkeypatch, server):
    started = []
    monkeypatch.setattr(engines, "start", lambda name, settings, _options: started.append((name, settings)))
    resolve(model="tiny")
    resolve("auto", "tiny")
    monkeypatch.setenv("ROADMAP_BASE_URL", server.address)
    assert resolve(model="x").settings.base_url == server.address
    resolve("torch", "tiny")
    assert [(name, settings.model) for name, settings in started] == [("torch", "tiny")] * 3


@pytest.mark.parametrize(
    ("engine", "model", "how", "line"),
    [
        ("gpt", "tiny", Options(), "--engine gpt is not known: use torch, llamacpp, vllm, ollama, an http"),
        ("torch", "all-minilm-l6-v2", Options(), "can't run all-minilm-l6-v2: choose a chat model"),
        ("torch", "claude-opus-5", Options(), "can't run claude-opus-5: choose a chat model with weights"),
        ("llamacpp", "tiny", Options(4, "int8"), "--quantize is for engine torch"),
        ("torch", "nonsense", Options(), "unknown model 'nonsense'"),
    ],
)
def test_what_can_not_run_here(engine, model, how, line):
    with pytest.raises(UserError, match=line.replace("(", r"\(")):
        resolve(engine, model, how)


def test_llamacpp_without_its_wheel(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install \.\[llamacpp\]"):
        resolve("llamacpp", "tiny")


# --- Claude -------------------------------------------------------------------------------------------


def test_claude_needs_a_key(monkeypatch):
    with pytest.raises(UserError, match="claude-opus-5-5 needs a key: set ANTHROPIC_API_KEY"):
        resolve("claude-opus-5-5")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-none")
    serving = resolve("claude-opus-5-5")
    assert (serving.name, serving.model, serving.process) == ("claude", "claude-opus-5-5", None)
    assert serving.client().api_key == "sk-none"
    assert resolve("claude").model == "claude-sonnet-5-5"
    with pytest.raises(UserError, match="names the model itself: leave out --model tiny"):
        resolve("claude-opus-5-5", "tiny")


# --- a server -----------------------------------------------------------------------------------------


def test_a_server_is_asked_which_model_it_has(server):
    serving = resolve(server.address)
    assert (serving.name, serving.model) == ("server", "qwen3:4b")
    assert resolve(server.address, "smollm2:135m").model == "smollm2:135m"
    serving.warm_up()
    serving.close()


def test_the_model_of_the_settings_counts_where_the_server_has_it(server, monkeypatch):
    monkeypatch.setenv("ROADMAP_MODEL", "smollm2:135m")
    assert resolve(server.address).model == "smollm2:135m"


def test_the_key_goes_along(server, monkeypatch):
    monkeypatch.setenv("ROADMAP_BASE_URL_KEY", "secret")
    resolve(server.address)
    headers = {name.lower(): value for name, value in server.headers.items()}
    assert (headers["x-api-key"], headers["authorization"]) == ("secret", "Bearer secret")


def test_clients_of_a_server_reach_it(server):
    said = resolve(server.address, "m").client().messages.create(model="m", **HELLO)
    assert said.content[0].text == WORDS


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {}),
        (200, b"<html>"),
        (200, {"data": [{}]}),
        (200, {"data": []}),
    ],
)
def test_a_server_that_does_not_say_which(server, status, body):
    server.models = (status, body)
    with pytest.raises(UserError, match="/v1/models lists no models: name one"):
        resolve(server.address)


@pytest.mark.parametrize(("engine", "start"), [("vllm", "vllm serve MODEL"), ("ollama", "ollama serve")])
def test_nobody_answers(engine, start, monkeypatch):
    monkeypatch.setitem(engines.SERVERS, engine, "http://127.0.0.1:1")
    with pytest.raises(UserError, match=rf"nobody answers at http://127.0.0.1:1 \(start it: {start}\)"):
        resolve(engine)
    assert resolve(engine, "some-model").name == engine  # named: it is asked with the first question


def test_an_address_with_v1_at_its_end(server):
    with pytest.raises(UserError, match="address without /v1"):
        resolve(f"{server.address}/v1", "m")


def test_an_address_that_is_none():
    with pytest.raises(UserError, match="is not allowed"):
        resolve("http://", "m")


def test_options_reach_the_batcher():
    settings = load_settings(model="tiny")
    flags = ["--model=tiny", "--rows=3", "--lookup=0", "--quantize=int8", "--no-prefix-cache"]
    assert process._flags(settings, Options(3, "int8", False, 0)) == flags
    for prefix_cache, lookup in ((False, 0), (True, 5)):
        engine = backend_of("torch", settings, Options(2, None, prefix_cache, lookup)).engine
        scheduler = engine.core.scheduler
        assert (scheduler.options.lookup, bool(scheduler.prefixes.most)) == (lookup, prefix_cache)
        engine.close()

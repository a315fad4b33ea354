"""Which engine a flag means, what its clients reach, and one line for whatever is wrong."""

import pytest

from shared.config import load_settings
from shared.errors import UserError
from step5_serving.config import Options
from step5_serving.engines import choice
from step5_serving.engines.__main__ import backend_of
from step5_serving.engines.choice import resolve
from step5_serving.engines.engine import _flags
from tests.step5.stand_in_engine import WORDS, StandInEngine

HELLO = {"max_tokens": 12, "messages": [{"role": "user", "content": "Hello there"}]}


@pytest.fixture
def server():
    """A server with two models."""
    with StandInEngine() as engine:
        engine.models = (200, {"data": [{"id": "qwen3:4b"}, {"id": "smollm2:135m"}]})
        yield engine


def test_without_a_flag_the_settings_decide(monkeypatch, server):
    started = []
    monkeypatch.setattr(choice, "EngineProcess", lambda *given: started.append(given[:2]))
    resolve(model="tiny")
    resolve("auto", "tiny")
    monkeypatch.setenv("ROADMAP_BASE_URL", server.address)
    assert resolve(model="x").settings.base_url == server.address
    resolve("torch", "tiny")
    assert [(name, settings.model) for name, settings in started] == [("torch", "tiny")] * 3


@pytest.mark.parametrize(
    ("engine", "model", "options", "line"),
    [
        ("gpt", "tiny", Options(), "--engine gpt is not known: use torch, llamacpp, vllm, ollama, an http"),
        ("torch", "all-minilm-l6-v2", Options(), "can't run all-minilm-l6-v2: choose a chat model"),
        ("torch", "claude-opus-5", Options(), "can't run claude-opus-5: choose a chat model with weights"),
        ("llamacpp", "tiny", Options(4, "int8"), "are flags of engine torch: leave them out with llamacpp"),
        ("llamacpp", "tiny", Options(4, lookup=0), "--no-prefix-cache are flags of engine torch"),
        ("ollama", "m", Options(4), "are flags of engine torch: leave them out with ollama"),
        ("claude-opus-5-5", None, Options(prefix_cache=False), "leave them out with claude-opus-5-5"),
        ("llamacpp", "tiny", Options(4), r"pip install .\[llamacpp\]"),
        ("torch", "nonsense", Options(), "unknown model 'nonsense'"),
        ("claude-opus-5-5", None, Options(), "claude-opus-5-5 needs a key: set ANTHROPIC_API_KEY"),
        ("claude-opus-5-5", "tiny", Options(), "names the model itself: leave out --model tiny"),
        ("http://127.0.0.1:1/v1", "m", Options(), "address without /v1"),
        ("http://", "m", Options(), "is not allowed"),
        ("vllm", None, Options(), r"nobody answers at http://127.0.0.1:1 \(start it: vllm serve MODEL\)"),
        ("ollama", None, Options(), r"nobody answers at http://127.0.0.1:1 \(start it: ollama serve\)"),
    ],
)
def test_what_can_not_run_here_is_one_line(monkeypatch, engine, model, options, line):
    monkeypatch.setattr(choice, "find_spec", lambda _name: None)  # without llama.cpp's wheel
    monkeypatch.setattr(choice, "SERVERS", dict.fromkeys(choice.SERVERS, "http://127.0.0.1:1"))
    with pytest.raises(UserError, match=line):
        resolve(engine, model, options)


def test_claude(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-none")
    engine = resolve("claude-opus-5-5")
    assert (engine.name, engine.model) == ("claude", "claude-opus-5-5")
    assert engine.client().api_key == "sk-none"
    assert resolve("claude").model == "claude-sonnet-5-5"


def test_a_server_is_asked_for_its_models_unless_one_is_named(server, monkeypatch):
    engine = resolve(server.address)
    assert (engine.name, engine.model) == ("server", "qwen3:4b")
    engine.warm_up()
    said = engine.client().messages.create(model=engine.model, **HELLO)
    assert said.content[0].text == WORDS
    assert resolve(server.address, "smollm2:135m").model == "smollm2:135m"
    assert resolve("vllm", "some-model").name == "vllm"  # named: its first request is the first question
    monkeypatch.setenv("ROADMAP_MODEL", "smollm2:135m")  # the settings' model, where the server has it
    monkeypatch.setenv("ROADMAP_BASE_URL_KEY", "secret")
    assert resolve(server.address).model == "smollm2:135m"
    assert server.headers["x-api-key"] == "secret"
    assert server.headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("reply", [(404, {}), (200, b"<html>"), (200, {"data": [{}]}), (200, {"data": []})])
def test_a_server_that_lists_no_models(server, reply):
    server.models = reply
    with pytest.raises(UserError, match="/v1/models lists no models: name one"):
        resolve(server.address)


def test_options_reach_the_batcher():
    settings = load_settings(model="tiny")
    flags = ["--model=tiny", "--rows=3", "--lookup=0", "--quantize=int8", "--no-prefix-cache"]
    assert _flags(settings, Options(3, "int8", False, 0)) == flags
    for prefix_cache, lookup in ((False, 0), (True, 5)):
        engine = backend_of("torch", settings, Options(2, None, prefix_cache, lookup)).engine
        scheduler = engine.core.scheduler
        assert (scheduler.options.lookup, bool(scheduler.prefixes.most)) == (lookup, prefix_cache)

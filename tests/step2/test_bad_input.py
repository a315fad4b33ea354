import socket
import time

import anthropic
import httpx2
import pytest

from tests.step2.fake_services import WEATHER


@pytest.mark.parametrize(
    ("failure", "requests", "line"),
    [
        ({"status": 401}, 1, "the key is wrong (401): set ANTHROPIC_API_KEY"),
        ({"status": 404, "error": "model: x"}, 1, "doesn't know this model (404): choose another with"),
        ({"status": 429}, 3, "your rate limit is reached (429): try again in a minute"),
        ({"status": 429, "headers": {"retry-after": "90"}}, 1, "(429): try again in 90 s"),
        ({"status": 529}, 3, "the server is overloaded (529): try again in a minute"),
        ({"status": 500}, 3, "the server failed (500): try again"),
        ({"status": 400, "error": "no\nsuch thing"}, 1, "refuses the request (400): no such thing"),
        ({"refused": True}, 3, "the API can't be reached (connection refused): is it running"),
        ({"hang": True}, 1, "no answer within 60 s: try again, or allow more with --timeout"),
        ({"text": "Half", "error": "Overloaded"}, 1, "broke off its answer: Overloaded; ask again"),
    ],
)
def test_what_the_server_does_wrong_is_one_line(api, refused, failure, requests, line):
    for _ in range(3):
        api.enqueue(**failure)
    assert line in refused("step2_tools", "Hi", "--offline", "--json")
    assert len(api.requests) == requests


def test_only_commands_with_a_time_limit_advise_a_longer_one(api, command):
    api.enqueue(hang=True)
    got = command("step2_tools", "evaluate", "--style", "native", "--limit", "1")
    assert (got.code, got.out) == (2, "")
    progress, line = got.err.splitlines()
    assert progress == "style native"
    assert line.startswith("error: ")
    assert line.endswith("no answer within 60 s: try again")


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        ({"text": "Half an", "sse_cut": 4}, "broke off in the middle of the answer (peer closed connection"),
        ({"text": "Half", "sse_cut": "quietly"}, "broke off in the middle of the answer (the stream ended"),
        ({"text": "Half", "sse_cut": 4, "hang": True}, "stopped in the middle and nothing more arrived"),
    ],
)
def test_an_answer_that_breaks_off_is_not_asked_for_again(api, command, failure, line):
    api.enqueue(**WEATHER)
    api.enqueue(**failure)
    got = command("step2_tools", "Is it hot?", "--offline")
    assert got.code == 2
    assert line in got.err
    assert got.err.count("\n") == 1
    assert len(api.requests) == 2


def test_flags_that_cannot_work(api, refused, monkeypatch, tmp_path):
    for name in ("ask", "chat"):
        assert "'--alerts': file " in refused("step2_tools", name, "--alerts", str(tmp_path))
    monkeypatch.setenv("ROADMAP_BASE_URL", "http://127.0.0.1:9")  # there, no grammar could be left out
    line = refused(
        "step2_tools", "evaluate", "--model", "tiny", "--style", "native", "--style", "native -grammar"
    )
    assert "is for the embedded model: choose another style" in line
    assert not api.requests


def test_a_server_that_hangs(refused, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ROADMAP_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        line = refused("step2_tools", "Hi", "--model", "claude-sonnet-5-5", "--offline", "--timeout", "1")
        assert "no answer within 1 s:" in line
        assert time.monotonic() - start < 3  # once, not three times


EVENTS = {"content-type": "text/event-stream"}


@pytest.mark.parametrize(
    ("headers", "body", "line"),
    [
        ({"content-type": "text/html"}, "<h1>It works!</h1>", "@x.invalid does not speak"),
        ({"content-type": "application/json"}, '{"choices": []}', "does not speak the Messages API"),
        (EVENTS, 'data: {"choices": []}\n\ndata: [DONE]\n\n', "(the stream ended before the message began)"),
        (EVENTS, "", "broke off in the middle of the answer"),
    ],
)
def test_a_server_that_speaks_something_else(refused, monkeypatch, headers, body, line):
    web = httpx2.MockTransport(lambda _request: httpx2.Response(200, headers=headers, text=body))
    options = {"api_key": "x", "base_url": "http://me:secret@x.invalid"}
    client = anthropic.Anthropic(http_client=httpx2.Client(transport=web), **options)
    monkeypatch.setattr("shared.chat.client.connect", lambda _settings: client)
    said = refused("step2_tools", "Hi", "--offline")
    assert line in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("  \n\t",), "the question is empty"),
        (("Hi", "--max-turns", "0"), "--max-turns 0 is not allowed: use 1 or more"),
        (("Hi", "--max-new-tokens", "-1"), "--max-new-tokens -1 is not allowed"),
        (("Hi", "--format", "xml"), "'xml' is not one of 'text', 'json'"),
        (("Hi", "--timeout", "0"), "--timeout 0 is not allowed: use 1 to 86400 seconds"),
        (("Hi", "--timeout", "nan"), "--timeout nan is not allowed: use 1 to 86400 seconds"),
    ],
)
def test_a_wrong_flag_or_no_question(api, refused, args, line):
    assert line in refused("step2_tools", "ask", *args)
    assert not api.requests


def test_the_key_of_a_server_of_ones_own_has_another_name(api, refused, monkeypatch):
    monkeypatch.setenv("ROADMAP_BASE_URL", "http://127.0.0.1:9")
    api.enqueue(status=401)
    assert "set ROADMAP_BASE_URL_KEY" in refused("step2_tools", "Hi", "--offline")  # of one's own server


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        ({"text": "I can", "stop_reason": "refusal"}, "the model refused to answer"),
        ({"text": "I can", "stop_reason": "max_tokens"}, "cut at --max-new-tokens 1024"),
        ({"text": "I", "stop_reason": "model_context_window_exceeded"}, "the conversation has filled the"),
        (WEATHER, "stopped at --max-turns 1, the model still called tools"),
    ],
)
def test_an_answer_that_is_not_whole(api, command, reply, line):
    api.enqueue(**reply)
    got = command("step2_tools", "Is it hot?", "--offline", "--max-turns", "1")
    assert (got.code, got.err.startswith(f"incomplete: {line}")) == (3, True), got

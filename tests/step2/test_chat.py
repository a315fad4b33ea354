from unittest.mock import Mock

import pytest

from tests.step2.fake_services import WEATHER


@pytest.fixture
def talk(command, monkeypatch):
    """Type these lines into `chat`; an exception is raised at the prompt, as by Ctrl-C. Then Ctrl-D."""

    def run(*lines, flags=("--offline",)):
        prompt = Mock(side_effect=[*lines, EOFError])
        monkeypatch.setattr("builtins.input", prompt)
        got = command("step2_tools", "chat", *flags)
        got.prompts = prompt.call_count
        return got

    return run


def texts(request):
    return [(message["role"], message["content"]) for message in request["messages"]]


def test_the_history_goes_along(api, talk):
    api.enqueue("Hello.")
    api.enqueue("", **WEATHER)
    api.enqueue("Hot.")
    got = talk("Hi", "", "Is it hot in Bangkok?")
    assert got.code == 0
    assert texts(api.requests[1]) == [
        ("user", "Hi"),
        ("assistant", [{"type": "text", "text": "Hello."}]),
        ("user", "Is it hot in Bangkok?"),
    ]
    assert "Hello.\n1 turn, 0 tool calls;" in got.out
    assert "Hot.\n2 turns, 1 tool call;" in got.out


def test_commands_of_the_chat(api, talk):
    for _ in range(2):
        api.enqueue(**WEATHER)
        api.enqueue("Hot.")
    got = talk("/help", "one", "/new", "two", flags=("--offline", "--trace"))
    assert got.out.count("/new starts over") == 2
    assert got.out.count('get_weather(city="Bangkok")') == 2
    assert texts(api.requests[2]) == [("user", "two")]


@pytest.mark.parametrize("end", ["/exit", EOFError, KeyboardInterrupt])
def test_exit_ctrl_d_and_ctrl_c_end_the_chat(api, talk, end):
    got = talk(end, "Hi")
    assert (got.code, got.err) == (0, "")
    assert got.prompts == 1
    assert not api.requests


def test_a_closed_standard_input_ends_the_chat(api, command, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    got = command("step2_tools", "chat", "--offline")
    assert (got.code, got.err) == (0, "")


def test_a_turn_that_fails_leaves_the_history_as_it_was(api, talk):
    api.enqueue("Hello.")
    api.enqueue(**WEATHER)  # the tool runs, then the server fails: no dangling tool_use may stay
    api.enqueue("Half an ans", sse_cut=4)
    api.enqueue("Sunny.")
    got = talk("Hi", "Is it hot in Bangkok?", "And in Rome?")
    assert got.code == 0
    assert got.err.startswith("error: smollm2")
    assert got.err.count("\n") == 1
    assert [role for role, _ in texts(api.requests[3])] == ["user", "assistant", "user"]
    assert texts(api.requests[3])[2] == ("user", "And in Rome?")


def test_ctrl_c_stops_an_answer_and_not_the_chat(api, talk, monkeypatch):
    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    api.enqueue(**WEATHER)
    api.enqueue("Hello.")
    with monkeypatch.context() as patch:
        patch.setattr("step2_tools.agent.loop.in_parallel", interrupted)
        got = talk("Is it hot?", "Hi")
    assert "stopped" in got.err
    assert texts(api.requests[1]) == [("user", "Hi")]
    assert "Hello.\n" in got.out

import contextvars
import json
import signal
import sys
import threading
import time

import pytest
from anthropic.lib.tools import ToolError, beta_tool

from step2_tools.agent import loop
from step2_tools.agent.tool import FunctionTool

HI = {"role": "user", "content": "How long are they?"}
RAN = []


def length(of: str) -> str:
    """How long a thing is.

    Args:
        of: The thing.
    """
    RAN.append(of)
    if of == "secret":
        raise ToolError("of = secret is not allowed: use another thing")
    return json.dumps({"summary": f"{of} is {len(of)} long."})


@pytest.fixture(autouse=True)
def _nothing_ran():
    RAN.clear()


@pytest.fixture
def run(api):
    def call(messages=(HI,), tools=None, **more):
        tools = tools or [FunctionTool(length)]
        return loop.run(api.client, "scripted", tools, messages, system="Be brief.", **more)

    return call


def use(i, of):
    return {"type": "tool_use", "id": f"toolu_{i}", "name": "length", "input": {"of": of}}


def result(i, text, **more):
    return {"type": "tool_result", "tool_use_id": f"toolu_{i}", "content": text, **more}


def test_every_call_of_a_turn_is_answered_in_one_user_turn_in_order(api, run):
    api.enqueue(
        "Let me see.", [("length", {"of": "rope"}), ("length", {"of": "secret"})], usage={"input_tokens": 5}
    )
    api.enqueue("", [("length", {"of": "a"})])
    api.enqueue("Four, and one.")
    done = run()
    expected = [
        HI,
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Let me see."}, use(1, "rope"), use(2, "secret")],
        },
        {
            "role": "user",
            "content": [
                result(1, '{"summary": "rope is 4 long."}'),
                result(2, "of = secret is not allowed: use another thing", is_error=True),
            ],
        },
        {"role": "assistant", "content": [use(3, "a")]},
        {"role": "user", "content": [result(3, '{"summary": "a is 1 long."}')]},
        {"role": "assistant", "content": [{"type": "text", "text": "Four, and one."}]},
    ]
    assert done.messages == expected
    assert [request["messages"] for request in api.requests] == [expected[:1], expected[:3], expected[:5]]
    for request in api.requests:
        assert (request["system"], request["max_tokens"], request["stream"]) == ("Be brief.", 1024, True)
        assert request["tools"] == [FunctionTool(length).to_dict()]
    assert (done.text, done.stop_reason, done.turns) == ("Four, and one.", "end_turn", 3)
    assert [(call.tool, call.input["of"], call.is_error) for call in done.calls] == [
        ("length", "rope", False),
        ("length", "secret", True),
        ("length", "a", False),
    ]
    assert done.calls[2].result == '{"summary": "a is 1 long."}'
    assert [usage.input_tokens for usage in done.usages] == [5, 100, 100]


def test_calls_of_a_turn_run_at_the_same_time(api):
    together = threading.Barrier(3)
    who = contextvars.ContextVar("who")
    who.set("the caller")

    def meet(name: str) -> str:
        "Wait for the two others."
        together.wait(timeout=5)
        return f"{name} for {who.get()}"

    api.enqueue("", [("meet", {"name": name}) for name in "abc"])
    api.enqueue("They met.")
    done = loop.run(api.client, "m", [FunctionTool(meet)], [HI], system="s")
    assert [call.result for call in done.calls] == [f"{name} for the caller" for name in "abc"]


def test_a_model_that_always_calls_tools_is_stopped(api, run):
    for _ in range(3):
        api.enqueue("Once more.", [("length", {"of": "rope"})])
    done = run(max_turns=3)
    assert (done.stop_reason, done.turns, api.left) == ("max_turns", 3, 0)
    assert RAN == ["rope", "rope"]  # nobody would read the result of a third
    assert done.messages[-1] == {"role": "assistant", "content": [{"type": "text", "text": "Once more."}]}
    goes_on(api, run, done)


@pytest.mark.parametrize("text", ["Let me", ""])
def test_a_call_that_was_cut_is_not_run(api, run, text):
    api.enqueue(text, [("length", {"of": "ro"})], stop_reason="max_tokens")
    done = run()
    assert (done.stop_reason, done.calls, RAN) == ("max_tokens", [], [])
    assert len(done.messages) == 1 + bool(text)
    goes_on(api, run, done)


def goes_on(api, run, done):
    """The conversation can be sent again (the double checks it) with another question."""
    api.enqueue("Yes.")
    assert run([*done.messages, {"role": "user", "content": "Still there?"}]).text == "Yes."


@pytest.mark.parametrize(("reason", "text"), [("refusal", "I can"), ("end_turn", "")])
def test_the_stop_reason_is_kept(api, run, reason, text):
    api.enqueue(text, stop_reason=reason)
    done = run()
    assert (done.stop_reason, done.text, done.turns) == (reason, text, 1)
    goes_on(api, run, done)


def test_a_paused_turn_goes_back_as_it_is(api, run):
    api.enqueue("So far", stop_reason="pause_turn")
    api.enqueue("and further.")
    assert run().text == "and further."
    paused = {"role": "assistant", "content": [{"type": "text", "text": "So far"}]}
    assert api.requests[1]["messages"] == [HI, paused]


def test_the_exception_of_a_broken_tool_is_not_sent_to_the_model(api):
    @beta_tool
    def broken() -> str:
        """Break."""
        raise RuntimeError("password 1234")

    api.enqueue("", [("broken", {})])
    api.enqueue("Sorry.")
    done = loop.run(api.client, "m", [broken], [HI], system="s")
    assert done.calls == [loop.Call("broken", {}, "broken failed", True)]


@pytest.mark.skipif(sys.platform == "win32", reason="there, waiting for a thread can't be interrupted")
def test_ctrl_c_does_not_wait_for_a_tool(api):
    def sleep() -> str:
        "Sleep."
        time.sleep(3)
        return "rested"

    api.enqueue("", [("sleep", {})])
    main = threading.main_thread().ident
    threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        loop.run(api.client, "m", [FunctionTool(sleep)], [HI], system="s")
    assert time.monotonic() - start < 2

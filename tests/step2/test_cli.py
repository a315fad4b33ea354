import io
import json
import logging
import sys

import pytest

from shared.cli import settings_from_flags
from shared.embedded.wire import validate_request
from step2_tools.agent.answer import OWN_WORDS
from step2_tools.agent.tool import FunctionTool
from tests.conftest import ROOT
from tests.step2.fake_services import WEATHER


@pytest.fixture
def ask(api, command):
    def run(*flags, text="It is 32 °C."):
        api.enqueue("Let me look.", **WEATHER)
        api.enqueue(text)
        return command("step2_tools", "What is the weather in Bangkok?", "--offline", *flags)

    return run


def test_ask_prints_the_text_and_what_it_cost_under_the_newest_prompt(ask, api):
    got = ask()
    assert (got.code, got.err) == (0, "")
    assert got.out.startswith(
        "Let me look.\nIt is 32 °C.\n2 turns, 1 tool call; 200 tokens in, 20 out; price unknown; "
    )
    file = ROOT / "step2_tools" / "prompts" / "assistant.2.md"
    assert api.requests[0]["system"] in file.read_text(encoding="utf-8")
    assert "cache_control" not in api.requests[0]


def test_the_trace_shows_every_message_once_and_the_answer_whole(ask):
    got = ask("--trace", text="It is 32 °C.\n\x1b[31m" + "x" * 900)
    assert "\x1b" not in got.out
    rows = [line for line in got.out.splitlines() if line.split(" ")[0] in ("user", "assistant", "tool")]
    assert [row.split()[:2] for row in rows] == [
        ["user", "What"],
        ["assistant", "Let"],
        ["assistant", 'get_weather(city="Bangkok")'],
        ["tool", '{"summary":'],
        ["assistant", "It"],
    ]
    assert got.out.count("It is 32 °C.") == 1
    assert "".join(got.out.split()).count("x") >= 900
    asked = ask("--json", "--trace")
    assert json.loads(asked.out)["offline"] is True
    assert "get_weather(" in asked.err


def test_json_has_the_facts_and_nothing_else(ask, api):
    facts = json.loads(ask("--json", "--model", "claude-sonnet-5-5").out)
    assert (facts["answer"], facts["stop_reason"], facts["incomplete"]) == ("It is 32 °C.", "end_turn", None)
    assert (facts["turns"], facts["input_tokens"], facts["output_tokens"]) == (2, 200, 20)
    assert facts["dollars"] == pytest.approx((200 * 2 + 20 * 10) / 1e6)
    assert [call["tool"] for call in facts["calls"]] == ["get_weather"]
    assert [message["role"] for message in facts["messages"]] == ["user", "assistant", "user", "assistant"]
    assert api.requests[0]["cache_control"] == {"type": "ephemeral"}  # Claude's


def test_without_offline_the_real_services_are_asked(api, command):
    api.enqueue(**WEATHER)
    api.enqueue("No idea.")
    got = command("step2_tools", "Is it hot?", "--json")
    assert json.loads(got.out)["calls"][0]["is_error"] is True  # tests have no network
    assert got.err == "a service cannot be reached; with --offline, the tools answer from sample data\n"


@pytest.mark.parametrize(
    ("args", "piped", "asked"),
    [
        (("-",), "Is it\nhot?\n", "Is it\nhot?"),
        ((), "Is it\nhot?\n", "Is it\nhot?"),
        (("caf\udce9?",), "Is it\nhot?\n", "caf??"),  # bytes that are not UTF-8
        ((), "", "What is the weather in Bangkok?"),
    ],
)
def test_a_dash_and_a_pipe_are_read_as_the_question(api, command, monkeypatch, args, piped, asked):
    monkeypatch.setattr(sys, "stdin", io.StringIO(piped))
    api.enqueue("Yes.")
    assert command("step2_tools", "ask", *args, "--offline").code == 0
    assert api.requests[0]["messages"][0]["content"] == asked


@pytest.mark.parametrize("city", ["Bangkok", "Atlantis", None])
def test_an_answer_that_no_tool_backs_is_introduced_as_the_models_own_words(api, command, city):
    for _ in range(2):
        if city:
            api.enqueue("Let me look.", [("get_weather", {"city": city})])
        api.enqueue("It is 32 °C.")
    out = command("step2_tools", "Is it hot?", "--offline").out
    facts = json.loads(command("step2_tools", "Is it hot?", "--offline", "--json").out)
    assert facts["looked_up"] is (city == "Bangkok")
    assert out.count(OWN_WORDS) == (city != "Bangkok")
    if city is None:
        assert out.index(OWN_WORDS) < out.index("It is 32 °C.")


@pytest.mark.parametrize("flags", [(), ("--trace",)])
def test_a_tool_with_a_bug_tells_its_author_and_not_the_model(api, command, monkeypatch, flags):
    def get_weather(city: str) -> str:
        """Get the weather."""
        raise KeyError(f"/home/me/{city}")

    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's; without them, warnings go to stderr
    monkeypatch.setattr("step2_tools.cli.assistant.build", lambda _offline: [FunctionTool(get_weather)])
    api.enqueue(**WEATHER)
    api.enqueue("I don't know.")
    got = command("step2_tools", "Is it hot?", *flags)
    [result] = api.requests[-1]["messages"][-1]["content"]
    assert result["content"] == "get_weather failed and gave no result"
    assert got.err.splitlines()[-1] == "get_weather failed: KeyError: '/home/me/Bangkok'"
    assert ('raise KeyError(f"/home/me/{city}")' in got.err) is bool(flags)
    assert OWN_WORDS in got.out
    assert "/home/me" not in got.out


def test_no_words_are_introduced_by_nothing(api, command):
    api.enqueue(**WEATHER)
    got = command("step2_tools", "Is it hot?", "--offline", "--max-turns", "1")
    assert got.out.startswith("1 turn, 0 tool calls; ")
    assert (got.code, got.err) == (3, "incomplete: stopped at --max-turns 1, the model still called tools\n")


def test_smoke_needs_no_network_and_asks_no_server_unless_its_model_is_named(api, command, monkeypatch):
    api.enqueue(**WEATHER)
    api.enqueue("Hot.")
    facts = json.loads(command("step2_tools", "Is it hot?", "--smoke", "--json").out)
    assert (facts["model"], facts["offline"], facts["calls"][0]["is_error"]) == ("tiny", True, False)
    assert api.requests[0]["model"] == "tiny"
    monkeypatch.setenv("ROADMAP_BASE_URL", "http://127.0.0.1:9")
    assert settings_from_flags(smoke=True).base_url is None
    assert settings_from_flags(smoke=True, model="qwen3:4b").base_url == "http://127.0.0.1:9"
    for model in ("qwen3:4b", "claude-sonnet-5-5"):  # on one's own server, it costs nothing at Anthropic
        api.enqueue("Hot.")
        facts = json.loads(command("step2_tools", "Hot?", "--model", model, "--json").out)
        assert (facts["answer"], facts["dollars"]) == ("Hot.", None)


def test_tools_prints_what_the_api_takes(command):
    facts = json.loads(command("step2_tools", "tools", "--json").out)
    names = [tool["name"] for tool in facts["tools"]]
    assert names == ["get_weather", "get_stock_price", "convert_currency", "get_time"]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    assert validate_request(body | {"tools": facts["tools"]}).tools
    shown = command("step2_tools", "tools").out
    assert "\nget_weather: Get the weather in a city" in shown
    assert 'unit?: "celsius" | "fahrenheit" (Unit of temperatures.)' in shown


def test_prompts_are_compared(command, refused):
    changed = command("step2_tools", "prompts", "diff", "json_calls@1", "json_calls@3").out
    assert "+version: 3" in changed
    same = command("step2_tools", "prompts", "diff", "assistant@1", "assistant@1").out
    assert same == "they are the same\n"
    assert "prompt 'poem' has no version" in refused("step2_tools", "prompts", "diff", "poem", "assistant@1")

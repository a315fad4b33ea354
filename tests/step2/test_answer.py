import json
from types import SimpleNamespace

import pytest

from shared.catalog import Price, lookup
from shared.embedded import wire
from step2_tools.agent import answer
from step2_tools.agent.loop import Call
from step2_tools.cli import costs
from tests.scripted import ScriptedMessages

WEATHER = {"tool_uses": [("get_weather", {"city": "Bangkok"})]}


@pytest.fixture
def api(monkeypatch):
    api = ScriptedMessages()
    monkeypatch.setattr("shared.chat.client.chat_client", lambda *_args, **_more: api.client)
    return api


def test_the_published_schema_describes_what_is_printed(api, command):
    api.enqueue(**WEATHER)
    api.enqueue('{"answer": "Hot \\u2600."}')
    got = command("step2_tools", "Is it hot in Bangkok?", "--offline", "--format", "json")
    assert got.code == 0
    printed = json.loads(got.out)
    answer.Answer.model_validate(printed)
    schema = json.loads(command("step2_tools", "schema").out)
    assert set(printed) == set(schema["properties"]) == set(schema["required"])
    assert schema["additionalProperties"] is False
    assert (printed["question"], printed["answer"]) == ("Is it hot in Bangkok?", "Hot ☀.")
    # The facts are the tool's own, whatever the model wrote.
    sent = json.loads(api.requests[1]["messages"][2]["content"][0]["content"])
    assert printed["data"] == [
        {"tool": "get_weather", "arguments": {"city": "Bangkok"}, "is_error": False, "result": sent}
    ]


def test_the_model_is_held_to_a_schema_that_the_api_takes(api, command):
    api.enqueue('{"answer": "Hi."}')
    command("step2_tools", "Hi", "--offline", "--format", "json", "--runner")
    asked = api.requests[0]["output_config"]["format"]
    assert asked["type"] == "json_schema"
    assert asked["schema"]["required"] == ["answer"]
    api.enqueue("Hi.")
    command("step2_tools", "Hi", "--offline")
    assert "output_config" not in api.requests[1]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("It is hot.", "Invalid JSON"),
        ('{"answer": 31}', "answer: Input should be a valid string"),
        ('{"answer": "Hot.", "mood": "good"}', "mood: Extra inputs are not permitted"),
        ("", "Invalid JSON"),
    ],
)
def test_wrong_json_is_asked_for_once_more_without_calling_tools_again(api, command, wrong, why):
    api.enqueue(**WEATHER)
    api.enqueue(wrong)
    api.enqueue('{"answer": "Hot."}')
    got = command("step2_tools", "Is it hot?", "--offline", "--format", "json")
    printed = json.loads(got.out)
    assert printed["answer"] == "Hot."
    assert len(printed["data"]) == 1
    assert "3 turns, 1 tool call; 300 tokens in" in got.err
    again = api.requests[2]
    assert why in again["messages"][-1]["content"]
    assert again["tool_choice"] == {"type": "none"}
    assert "tool_choice" not in api.requests[1]


def test_wrong_json_twice_is_an_error(api, refused):
    api.enqueue("It is hot.")
    api.enqueue("Hot!")
    line = refused("step2_tools", "Is it hot?", "--offline", "--format", "json")
    assert "no valid JSON, twice (" in line
    assert api.left == 0


def test_json_that_was_cut_is_no_answer(api, command):
    api.enqueue('{"answer": "It i', stop_reason="max_tokens")
    got = command("step2_tools", "Hot?", "--offline", "--format", "json", "--max-new-tokens", "5")
    assert (got.code, got.out) == (3, "")
    assert got.err.endswith("incomplete: cut at --max-new-tokens 5\n")


def test_errors_and_odd_results_stay_what_they_are():
    calls = [Call("a", {}, "city is missing", True), Call("b", {"x": 1}, "[1, 2]", False)]
    data = answer.as_json("Q", "A", calls).model_dump()["data"]
    assert [(fact["result"], fact["is_error"]) for fact in data] == [
        ("city is missing", True),
        ("[1, 2]", False),
    ]


def test_markdown_says_where_the_facts_come_from(api, command):
    api.enqueue(**WEATHER)
    api.enqueue("It is **hot**.")
    got = command("step2_tools", "Is it hot?", "--offline", "--format", "markdown")
    assert got.out.startswith(
        "It is **hot**.\n\n| tool | result | source |\n|---|---|---|\n| get_weather | In Bangkok"
    )
    assert "Markdown" in api.requests[0]["system"]


def test_a_result_can_not_break_out_of_its_cell():
    evil = json.dumps({"summary": "a | b\n\n# Title\n[link](http://x) <b>", "source": "s"})
    row = answer.as_markdown("A", [Call("t", {}, evil, False)]).splitlines()[-1]
    assert row == r"| t | a \| b # Title \[link](http://x) \<b> | s |"


def usage(**counts):
    fields = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return SimpleNamespace(**{field: counts.get(field) for field in fields})


PRICE = Price(2.0, 10.0, "2026-11-25", "here")


def test_dollars_of_a_turn():
    plain = usage(input_tokens=1_000_000, output_tokens=100_000)
    assert costs.dollars_of(plain, PRICE) == pytest.approx(2 + 1)
    cached = usage(input_tokens=0, output_tokens=0, cache_read_input_tokens=1_000_000)
    assert costs.dollars_of(cached, PRICE) == pytest.approx(0.2)
    written = usage(input_tokens=0, output_tokens=0, cache_creation_input_tokens=1_000_000)
    assert costs.dollars_of(written, PRICE) == pytest.approx(2.5)
    assert costs.dollars_of(usage(input_tokens=0, output_tokens=0), PRICE) == 0


def test_a_long_prompt_has_its_own_price_turn_by_turn():
    haiku = lookup("claude-haiku-5-5").price
    short, long = (usage(input_tokens=n, output_tokens=0) for n in (90_000, 110_000))
    both = costs.summarize([short, long], haiku, 1.0)
    assert both["dollars"] == pytest.approx(0.09 * haiku.input + 0.11 * haiku.long_prompt["input"])


def test_what_a_run_cost_is_said_in_one_line():
    facts = costs.summarize(
        [
            usage(input_tokens=100, output_tokens=20, cache_read_input_tokens=900),
            usage(input_tokens=1100, output_tokens=5, cache_creation_input_tokens=100),
        ],
        PRICE,
        2.34,
    )
    assert facts["input_tokens"] == 2200
    assert (facts["cache_read_tokens"], facts["cache_write_tokens"], facts["turns"]) == (900, 100, 2)
    line = costs.line(facts, 1)
    assert line == "2 turns, 1 tool call; 2,200 tokens in (900 of them cached), 25 out; $0.0031; 2.3 s"


def test_an_unknown_price_is_unknown():
    facts = costs.summarize([usage(input_tokens=1, output_tokens=1)], None, 0.1)
    assert facts["dollars"] is None
    assert "price unknown" in costs.line(facts, 0)


def test_a_server_of_ones_own_has_no_price_of_anthropic(api, command, monkeypatch):
    for base_url, known in ((None, True), ("http://127.0.0.1:9", False)):
        if base_url:
            monkeypatch.setenv("ROADMAP_BASE_URL", base_url)
        api.enqueue("Hi.")
        facts = json.loads(
            command("step2_tools", "Hi", "--model", "claude-sonnet-5-5", "--offline", "--json").out
        )
        assert (facts["dollars"] is not None) == known


def test_the_schema_of_the_answer_is_one_that_the_wire_takes():
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    assert wire.validate_request(body | answer.request_for("json")) is None


# --- numbers that no tool gave --------------------------------------------------------------------------

RESULT = '{"summary": "In Bangkok it is 31 °C now.", "now": 31, "high": 34.0, "date": "2026-11-21"}'


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("It is 31 °C now, up to 34.", []),
        ("It is warm.", []),
        ("It is 32 °C now, up to 34.", ["32"]),
        ("On 21 November 2026: 31.0 °C.", []),
        ("Ten of 1,031 days.", ["1,031"]),
    ],
)
def test_numbers_of_an_answer_that_no_result_has(text, wrong):
    assert answer.unsupported_numbers(text, [RESULT]) == wrong


def test_an_answer_with_such_a_number_is_replaced_by_the_tools_own_words_and_says_so():
    assert answer.guard("It is 31 °C.", [RESULT]) == ("It is 31 °C.", False)
    text, by_tools = answer.guard("It is 40 °C.", [RESULT, "no JSON " * 100])
    first, second, third = text.split("\n")
    assert by_tools
    assert first == answer.TOOLS_WORDS
    assert second == "In Bangkok it is 31 °C now."
    assert third.endswith(" ...")
    assert answer.guard("It is 40 °C.", []) == ("It is 40 °C.", False)

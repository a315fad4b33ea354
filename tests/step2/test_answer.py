import json
from types import SimpleNamespace

import pytest

from shared.catalog import Price, lookup
from step2_tools.agent import answer
from step2_tools.agent.loop import Call
from step2_tools.cli import costs
from tests.step2.fake_services import WEATHER


def test_json_has_the_models_text_and_the_tools_facts(api, command):
    api.enqueue(**WEATHER)
    api.enqueue('{"answer": "Hot \\u2600."}')
    got = command("step2_tools", "Is it hot in Bangkok?", "--offline", "--format", "json")
    assert got.code == 0
    printed = json.loads(got.out)
    assert (printed["question"], printed["answer"]) == ("Is it hot in Bangkok?", "Hot ☀.")
    # The facts are the tool's own, whatever the model wrote.
    sent = json.loads(api.requests[1]["messages"][2]["content"][0]["content"])
    assert printed["data"] == [
        {"tool": "get_weather", "arguments": {"city": "Bangkok"}, "is_error": False, "result": sent}
    ]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("It is hot.", "Invalid JSON"),
        ('{"answer": 31}', "answer: Input should be a valid string"),
        ('{"answer": "Hot.", "mood": "good"}', "mood: Extra inputs are not permitted"),
    ],
)
def test_wrong_json_is_an_error(api, refused, wrong, why):
    api.enqueue(wrong)
    line = refused("step2_tools", "Is it hot?", "--offline", "--format", "json")
    assert "did not write the JSON that was asked for (" in line
    assert why in line
    assert api.requests[0]["output_config"]["format"]["schema"]["required"] == ["answer"]


def test_cut_json_is_not_an_answer(api, command):
    api.enqueue('{"answer": "It i', stop_reason="max_tokens")
    got = command("step2_tools", "Hot?", "--offline", "--format", "json", "--max-new-tokens", "5")
    assert (got.code, got.out) == (3, "")
    assert got.err.endswith("incomplete: cut at --max-new-tokens 5\n")


def test_errors_and_odd_results_stay_what_they_are():
    calls = [Call("a", {}, "city is missing", True), Call("b", {"x": 1}, "[1, 2]", False)]
    data = answer.as_json("Q", "A", calls).data
    assert [fact.result for fact in data] == ["city is missing", "[1, 2]"]


def usage(**counts):
    fields = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return SimpleNamespace(**{field: counts.get(field) for field in fields})


def test_a_run_is_summed_up_in_one_line_and_an_unknown_price_is_unknown():
    usages = [
        usage(input_tokens=100, output_tokens=20, cache_read_input_tokens=900),
        usage(input_tokens=1100, output_tokens=5, cache_creation_input_tokens=100),
        usage(input_tokens=0, output_tokens=0),
    ]
    price = Price(2.0, 10.0, "2026-11-25", "here")
    line = "3 turns, 1 tool call; 2,200 tokens in (900 of them cached), 25 out; {}; 2.3 s"
    assert costs.line(costs.summarize(usages, price, 2.34), 1) == line.format("$0.0031")
    assert costs.line(costs.summarize(usages, None, 2.34), 1) == line.format("price unknown")
    haiku = lookup("claude-haiku-5-5").price  # a long prompt has its own price, turn by turn
    both = [usage(input_tokens=n, output_tokens=0) for n in (90_000, 110_000)]
    expected = 0.09 * haiku.input + 0.11 * haiku.long_prompt.input
    assert costs.summarize(both, haiku, 1.0).dollars == pytest.approx(expected)


# --- numbers that no tool gave --------------------------------------------------------------------------

RESULT = '{"summary": "In Bangkok it is 31 °C now.", "now": 31, "high": 34.0, "date": "2026-11-21"}'


def test_a_reply_that_is_not_what_the_results_say_is_replaced_by_their_summaries():
    hot = Call("get_weather", {"city": "Bangkok"}, RESULT, False)
    long = Call("find", {"name": "x"}, "no JSON " * 100, False)
    assert answer.guard("It is 31 °C.", [hot], []) == answer.Guarded("It is 31 °C.", [])
    guarded = answer.guard("It is 40 °C.", [hot, long], [])
    first, second, third = guarded.text.split("\n")
    assert guarded.problems
    assert first == answer.TOOLS_WORDS
    assert second == "In Bangkok it is 31 °C now."
    assert third.endswith(" ...")
    assert answer.guard("It is 40 °C.", [], []) == answer.Guarded("It is 40 °C.", [])


def test_two_cities_with_the_facts_of_one_are_replaced(api, command):
    api.enqueue("", [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Tokyo"})])
    api.enqueue("In Paris it is 13 °C now, rain. In Tokyo it is 13 °C now, rain.")
    got = command("step2_tools", "Compare the weather in Paris and Tokyo", "--offline")
    said, paris, tokyo = got.out.splitlines()[:3]
    assert said == answer.TOOLS_WORDS
    assert paris.startswith("In Paris, Île-de-France, France it is 13 °C now, clear sky")
    assert tokyo.startswith("In Tokyo, Japan it is 13 °C now, rain")

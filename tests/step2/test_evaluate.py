import dataclasses
import json
from itertools import chain

import jsonschema
import pytest

from shared.cli import to_json
from shared.config import load_settings
from shared.errors import UserError
from shared.stats import subset
from step2_tools.agent.tool import FunctionTool
from step2_tools.cli.evaluate import show
from step2_tools.evaluate import questions
from step2_tools.evaluate.ask import ask_in_style
from step2_tools.evaluate.questions import Question
from step2_tools.evaluate.reply import calls_in
from step2_tools.evaluate.request import written
from step2_tools.evaluate.run import evaluate_styles
from step2_tools.evaluate.scoring import Score, score
from step2_tools.evaluate.styles import parse_style
from step2_tools.tools import build
from tests.conftest import shown


def get_weather(city: str, day: str = "today") -> str:
    """Get the weather."""
    return f"sunny in {city}"


def get_time(city: str) -> str:
    """Get the time."""
    return f"noon in {city}"


TOOLS = [{**FunctionTool(function).to_dict()} for function in (get_weather, get_time)]
OSLO = {"name": "get_weather", "input": {"city": "Oslo"}}
QUESTIONS = []
for i in range(3):
    label = {"name": "get_weather", "input": {"city": ["Oslo"]}}
    QUESTIONS.append(Question(f"weather-{i}", "weather", f"Question weather {i}?", [label]))
    QUESTIONS.append(Question(f"neither-{i}", "neither", f"Question neither {i}?", []))


@pytest.fixture
def evaluated(api):
    """Evaluate in these styles; every question gets the reply that `enqueue` gives it, in order."""

    def run(*names, questions=QUESTIONS, **options):
        return evaluate_styles(load_settings(), api.client, TOOLS, questions, names, **options)

    return run


# --- styles of asking --------------------------------------------------------------------------------------


def test_native_sends_the_tools_and_takes_the_calls_of_the_reply(api):
    api.enqueue("Let me look.", [("get_weather", {"city": "Oslo"}), ("get_time", {"city": "Rome"})])
    reply = ask_in_style(api.client, "m", parse_style("native"), "Hot?", TOOLS)
    assert reply.calls == [OSLO, {"name": "get_time", "input": {"city": "Rome"}}]
    request = api.requests[0]
    assert [tool["name"] for tool in request["tools"]] == ["get_weather", "get_time"]
    assert request["messages"] == [{"role": "user", "content": "Hot?"}]
    assert request["max_tokens"] == 200
    assert "never an instruction" in request["system"]


def test_text_styles_send_the_tools_as_text_and_the_examples_as_turns(api):
    sent = {}
    for name in ("zero-shot", "few-shot", "few-shot reversed", "v3"):
        api.enqueue("[]")
        assert ask_in_style(api.client, "m", parse_style(name), "Hot?", TOOLS).calls == []
        sent[name] = api.requests[-1]
        assert "get_weather(city: string, day?: string): Get the weather." in sent[name]["system"]
        assert not {"tools", "output_config"} & sent[name].keys()
        assert sent[name]["messages"][-1] == {"role": "user", "content": "Hot?"}
    assert len(sent["zero-shot"]["messages"]) == 1
    pairs = [sent["few-shot"]["messages"][i : i + 2] for i in range(0, 10, 2)]
    assert sent["few-shot reversed"]["messages"][:-1] == [*chain.from_iterable(reversed(pairs))]
    assert sent["v3"] == sent["few-shot"]


def test_no_example_teaches_what_a_labelled_question_asks():
    """Cities, companies and currencies of the examples stand in no question: copying is not measured."""
    taught = set()
    for _, assistant in parse_style("few-shot").prompt.examples:
        for call in json.loads(assistant):
            for name, value in call["input"].items():
                if name in ("city", "symbol") or name.endswith("currency"):
                    taught.add(str(value))
    asked = set()
    for question in [*questions.read("dev"), *questions.read("test")]:
        for label in question.calls:
            for accepted in label["input"].values():
                asked.update(map(str, accepted))
    assert len(taught) == 6
    assert not taught & asked


def test_the_reply_written_from_a_label_is_right_by_that_label():
    labelled = [*questions.read("dev"), *questions.read("test")]
    tools = [{**tool.to_dict()} for tool in build(offline=True)]
    assert len(labelled) > 100
    for question in labelled:
        calls = calls_in(written(question))
        assert score(calls, question.calls, tools) == Score(True, True, True, False), question.id


def test_the_schema_permits_valid_calls_and_nothing_else(api):
    api.enqueue(json.dumps([OSLO]))
    reply = ask_in_style(api.client, "m", parse_style("zero-shot +schema"), "Hot?", TOOLS)
    assert reply.calls == [OSLO]
    form = api.requests[0]["output_config"]["format"]
    assert form["type"] == "json_schema"
    check = jsonschema.Draft202012Validator(form["schema"])
    for right in ([], [OSLO], [OSLO, {"name": "get_time", "input": {"city": "Oslo"}}]):
        assert check.is_valid(right)
    for wrong in (
        OSLO,
        [{"name": "get_rain", "input": {"city": "Oslo"}}],
        [{"name": "get_weather", "input": {}}],
        [{"name": "get_time", "input": {"city": "Oslo", "day": "today"}}],  # the other tool's argument
        [{"name": "get_weather"}],
        [OSLO | {"note": ""}],
    ):
        assert not check.is_valid(wrong)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (json.dumps([OSLO]), [OSLO]),
        (json.dumps(OSLO), [OSLO]),
        (f"Sure [1], [it is]! ```json\n{json.dumps([OSLO, OSLO])}\n``` done", [OSLO, OSLO]),
        ("[]", []),
        ("It is [sunny].", None),
        (json.dumps([OSLO])[:-3], None),  # cut
        ('[{"name": "get_weather", "args": {"list": []}}]', None),  # the [] inside is not an answer
        ('[{"name": "get_weather", "input": "Oslo"}]', None),
        ('[{"name": 5, "input": {}}]', None),
        ("[" * 5000, None),
    ],
)
def test_calls_are_found_in_text(text, calls):
    assert calls_in(text) == calls


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nativ", "is not known: use native"),
        ("few-shot+schema", "is not known: use native"),
        ("native +schema", "is not known: use native"),
        ("zero-shot reversed", "no examples whose order"),
        ("v99", "prompt 'json_calls' has no version 99"),
    ],
)
def test_an_unknown_style(name, why):
    with pytest.raises(UserError, match=why):
        parse_style(name)


# --- measuring -------------------------------------------------------------------------------------------


def test_a_question_may_have_tools_of_its_own(api, evaluated):
    api.enqueue("", [("get_weather", {"city": "Oslo"})])
    question = dataclasses.replace(QUESTIONS[0], tools=[{**TOOLS[0], "name": "forecast"}])
    report = evaluated("native", questions=[question])
    assert [tool["name"] for tool in api.requests[0]["tools"]] == ["forecast"]
    assert report.styles["native"].valid.hits == 0


def test_shares_with_intervals_for_each_style_and_kind(api, evaluated):
    for i, question in enumerate(QUESTIONS):  # native: all right but the first
        if question.calls:
            api.enqueue("", [("get_weather", {"city": "Rome" if i == 0 else "Oslo"})])
        else:
            api.enqueue("Hi", ())
    for _ in QUESTIONS:  # zero-shot: always Oslo, so half are needless
        api.enqueue(json.dumps([OSLO]))
    report = evaluated("native", "zero-shot")
    native = report.styles["native"]
    zero_shot = report.styles["zero-shot"]
    assert native.valid.share == native.right_tool.share == 1
    interval = pytest.approx([0.436, 0.970], abs=5e-4)
    assert to_json(native.right_arguments) == {"hits": 5, "n": 6, "share": 5 / 6, "interval_95": interval}
    assert (native.needless.hits, native.input_tokens) == (0, 100)
    assert zero_shot.right_arguments.hits == zero_shot.needless.hits == 3
    assert report.by_kind["weather"].right_arguments.hits == 2
    assert report.by_kind["neither"].right_arguments.hits == 3
    assert [wrong.id for wrong in report.wrong] == ["weather-0"] + [f"neither-{i}" for i in range(3)]
    assert report.headline.startswith("calls right in 83% (44-97) of 6 labelled questions (native")
    assert zero_shot.prompt.startswith("json_calls v1, sha256 ")
    json.dumps(to_json(report))
    out = shown(show, report)
    assert "83% (44-97)" in out
    assert "1 of 1 wrong answers, native" in out
    assert "Question weather 0?" in out


def test_a_limit_draws_the_same_questions_for_every_style_by_the_seed():
    drawn = [[question.id for question in subset(QUESTIONS, 3, seed)] for seed in range(10)]
    assert drawn[1] == [question.id for question in subset(QUESTIONS, 3, 1)]
    assert len({*map(tuple, drawn)}) > 1
    order = [question.id for question in QUESTIONS]
    assert all(ids == sorted(ids, key=order.index) for ids in drawn)
    assert subset(QUESTIONS, None, 0) == subset(QUESTIONS, 99, 0) == QUESTIONS
    with pytest.raises(UserError, match="--limit 0 is not allowed"):
        subset(QUESTIONS, 0, 0)

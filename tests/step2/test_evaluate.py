import json
from io import StringIO

import anthropic
import httpx2
import jsonschema
import pytest
from rich.console import Console

from shared.chat import errors as api_errors
from shared.config import load_settings
from shared.errors import UserError
from step2_tools.agent.tool import FunctionTool
from step2_tools.cli import pictures, tables
from step2_tools.evaluate import prompt_styles, questions, results
from step2_tools.evaluate import run as evaluate
from step2_tools.evaluate.scoring import Score, score
from step2_tools.tools import build
from tests.scripted import URL, ScriptedMessages
from tests.step2.test_bfcl import question as bfcl_question
from tests.step2.test_bfcl import write as write_bfcl


def get_weather(city: str, day: str = "today") -> str:
    """Get the weather."""
    return f"sunny in {city}"


def get_time(city: str) -> str:
    """Get the time."""
    return f"noon in {city}"


TOOLS = [FunctionTool(get_weather), FunctionTool(get_time)]
OSLO = {"name": "get_weather", "input": {"city": "Oslo"}}
QUESTIONS = [
    {
        "id": f"{kind}-{i}",
        "kind": kind,
        "question": f"Question {kind} {i}?",
        "calls": [] if kind == "neither" else [{"name": "get_weather", "input": {"city": ["Oslo"]}}],
    }
    for i in range(3)
    for kind in ("weather", "neither")
]


@pytest.fixture
def api():
    return ScriptedMessages(max_retries=0)


@pytest.fixture
def evaluated(api):
    """Evaluate in these styles; every question gets the reply that `enqueue` gives it, in order."""

    def run(*names, questions=QUESTIONS, **options):
        return evaluate.run(load_settings(), api.client, TOOLS, questions, names, **options)

    return run


def shown(facts):
    out = StringIO()
    tables.show_evaluate(facts, Console(file=out, width=140, highlight=False, markup=False))
    return out.getvalue()


# --- styles of asking --------------------------------------------------------------------------------------


def test_native_sends_the_tools_and_takes_the_calls_of_the_reply(api):
    api.enqueue("Let me look.", [("get_weather", {"city": "Oslo"}), ("get_time", {"city": "Rome"})])
    reply = prompt_styles.ask(api.client, "m", prompt_styles.parse("native"), "Hot?", TOOLS)
    assert reply.calls == [OSLO, {"name": "get_time", "input": {"city": "Rome"}}]
    request = api.requests[0]
    assert [tool["name"] for tool in request["tools"]] == ["get_weather", "get_time"]
    assert request["messages"] == [{"role": "user", "content": "Hot?"}]
    assert request["max_tokens"] == 200
    assert "never an instruction" in request["system"]


def test_the_loop_counts_the_calls_and_turns_of_the_whole_conversation(api):
    api.enqueue("", [("get_weather", {"city": "Oslo"})], usage={"cache_read_input_tokens": 7})
    api.enqueue("", [("get_time", {"city": "Oslo"})])
    api.enqueue("Sunny, noon.")
    reply = prompt_styles.ask(api.client, "m", prompt_styles.parse("native loop"), "Hot?", TOOLS)
    assert [call["name"] for call in reply.calls] == ["get_weather", "get_time"]
    assert (reply.turns, reply.input_tokens, reply.output_tokens) == (3, 307, 30)


def test_text_styles_send_the_tools_as_text_and_the_examples_as_turns(api):
    sent = {}
    for name in ("zero-shot", "few-shot", "few-shot reversed", "v3"):
        api.enqueue("[]")
        assert prompt_styles.ask(api.client, "m", prompt_styles.parse(name), "Hot?", TOOLS).calls == []
        sent[name] = api.requests[-1]
        assert "get_weather(city: string, day?: string): Get the weather." in sent[name]["system"]
        assert not {"tools", "output_config"} & sent[name].keys()
        assert sent[name]["messages"][-1] == {"role": "user", "content": "Hot?"}
    assert len(sent["zero-shot"]["messages"]) == 1
    pairs = [sent["few-shot"]["messages"][i : i + 2] for i in range(0, 10, 2)]
    assert sent["few-shot reversed"]["messages"][:-1] == [turn for pair in reversed(pairs) for turn in pair]
    assert sent["v3"] == sent["few-shot"]


def test_every_example_of_the_shipped_prompt_is_itself_a_list_of_calls():
    prompt = prompt_styles.parse("few-shot").prompt
    assert len(prompt.examples) == 5
    for _, assistant in prompt.examples:
        assert prompt_styles.calls_in(assistant) == json.loads(assistant)


def test_no_example_teaches_what_a_labelled_question_asks():
    """Cities, companies and currencies of the examples stand in no question: copying is not measured."""
    taught = {
        str(value)
        for _, assistant in prompt_styles.parse("few-shot").prompt.examples
        for call in json.loads(assistant)
        for name, value in call["input"].items()
        if name == "city" or name == "symbol" or name.endswith("currency")
    }
    asked = {
        str(value)
        for row in questions.read()
        for call in row["calls"]
        for accepted in call["input"].values()
        for value in accepted
    }
    assert len(taught) == 6
    assert not taught & asked


def test_the_reply_written_from_a_label_is_right_by_that_label():
    rows, tools = questions.read(), [{**tool.to_dict()} for tool in build(offline=True)]
    assert len(rows) > 100
    for row in rows:
        calls = prompt_styles.calls_in(prompt_styles.written(row))
        assert score(calls, row["calls"], tools) == Score(True, True, True, 0, 0), row["id"]


def test_the_schema_permits_valid_calls_and_nothing_else(api):
    api.enqueue(json.dumps([OSLO]))
    reply = prompt_styles.ask(api.client, "m", prompt_styles.parse("zero-shot +schema"), "Hot?", TOOLS)
    assert reply.calls == [OSLO]
    held = api.requests[0]["output_config"]["format"]
    assert held["type"] == "json_schema"
    check = jsonschema.Draft202012Validator(held["schema"])
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


def test_references_inside_a_tools_schema_still_hold():
    place = {
        "$defs": {"Place": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}}
    }
    tool = {
        "name": "go",
        "input_schema": {"type": "object", "properties": {"to": {"$ref": "#/$defs/Place"}}} | place,
    }
    check = jsonschema.Draft202012Validator(prompt_styles.calls_schema([tool]))
    assert check.is_valid([{"name": "go", "input": {"to": {"x": 1}}}])
    assert not check.is_valid([{"name": "go", "input": {"to": {"y": 1}}}])


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (json.dumps([OSLO]), [OSLO]),
        (json.dumps(OSLO), [OSLO]),
        (f"Sure [1]! ```json\n{json.dumps([OSLO, OSLO])}\n``` done", [OSLO, OSLO]),
        ("[]", []),
        ("It is [sunny].", None),
        ("", None),
        (json.dumps([OSLO])[:-3], None),  # cut
        ('[{"name": "get_weather", "args": {"list": []}}]', None),  # the [] inside is no answer
        ('[{"name": "get_weather", "input": "Oslo"}]', None),
        ('[{"name": 5, "input": {}}]', None),
        ("[" * 5000, None),
    ],
)
def test_calls_are_found_in_text(text, calls):
    assert prompt_styles.calls_in(text) == calls


@pytest.mark.parametrize("name", ["nativ", "few-shot+schema", "zero-shot schema", "v", "native +schema"])
def test_an_unknown_style(name):
    with pytest.raises(UserError, match="is not known: use native"):
        prompt_styles.parse(name)


def test_styles_that_make_no_sense():
    with pytest.raises(UserError, match="no examples whose order"):
        prompt_styles.parse("zero-shot reversed")
    with pytest.raises(UserError, match="json_calls has no version 99"):
        prompt_styles.parse("v99")


def test_the_usual_styles_are_all_known():
    assert [prompt_styles.parse(name).name for name in prompt_styles.DEFAULT] == prompt_styles.DEFAULT


# --- measuring -------------------------------------------------------------------------------------------


def test_shares_with_intervals_for_each_style_and_kind(api, evaluated):
    for i, row in enumerate(QUESTIONS):  # native: all right but the first
        city = "Rome" if i == 0 else "Oslo"
        api.enqueue("" if row["calls"] else "Hi", [("get_weather", {"city": city})] if row["calls"] else ())
    for _ in QUESTIONS:  # zero-shot: always Oslo, so half are needless
        api.enqueue(json.dumps([OSLO]))
    facts = evaluated("native", "zero-shot")
    native, zero_shot = (facts["styles"][name] for name in ("native", "zero-shot"))
    assert native["valid"]["share"] == native["right_tool"]["share"] == 1
    assert native["right_arguments"] == {"hits": 5, "n": 6, "share": 0.8333, "interval_95": [0.436, 0.97]}
    assert (native["needless"]["hits"], native["input_tokens"], native["turns"]) == (0, 100, 1)
    assert zero_shot["right_arguments"]["hits"] == zero_shot["needless"]["hits"] == 3
    assert zero_shot["needless_calls"] == 3
    assert facts["by_kind"]["weather"]["right_arguments"]["hits"] == 2
    assert facts["by_kind"]["neither"]["right_arguments"]["hits"] == 3
    assert [each["id"] for each in facts["wrong"]] == ["weather-0"] + [f"neither-{i}" for i in range(3)]
    assert facts["headline"].startswith("labelled questions: calls right in 83% (44-97) of 6 (native")
    assert zero_shot["prompt"].startswith("json_calls v1, sha256 ")
    json.dumps(facts)
    out = shown(facts)
    assert "83% (44-97)" in out
    assert "1 of 1 wrong answers, native" in out
    assert "Question weather 0?" in out


def test_a_failed_request_is_a_wrong_answer_and_is_reported(api, evaluated):
    for i, row in enumerate(QUESTIONS):
        if i == 3:
            api.enqueue(status=529, error="Overloaded")
        elif i == 4:
            api.enqueue(refused=True)
        else:
            api.enqueue(
                "", [("get_weather", {"city": "Oslo"})] if row["calls"] else (("get_time", {"city": "Oslo"}),)
            )
    facts = evaluated("native")
    native = facts["styles"]["native"]
    assert native["n"] == 6
    assert native["failed_requests"] == 2
    assert native["errors"] == {
        "the server is overloaded (529): try again in a minute (Overloaded)": 1,
        "the API can't be reached (connection refused): is it running, are you online?": 1,
    }
    assert native["valid"]["hits"] == 4
    assert native["right_arguments"]["hits"] == 2
    assert "native: 1 of 6 requests failed: the server is overloaded (529)" in shown(facts)


def test_a_stream_that_breaks_off_is_a_failed_request(api, evaluated):
    api.enqueue("Hi")
    api.enqueue("Hi there", sse_cut="quietly")
    facts = evaluated("native loop", limit=2)
    assert facts["styles"]["native loop"]["errors"] == {
        "the connection broke off in the middle of the answer (the stream ended before the message did)": 1
    }


def test_a_time_out_and_an_answer_of_something_else_are_failed_requests(api):
    api.enqueue("Hi")
    api.enqueue(hang=True)
    page = httpx2.Response(200, headers={"content-type": "text/html"}, text="<h1>It works!</h1>")
    scripted = httpx2.MockTransport(lambda request: api._answer(request) if api.left else page)
    client = anthropic.Anthropic(http_client=httpx2.Client(transport=scripted), api_key="x", base_url=URL)
    facts = evaluate.run(
        load_settings(), api_errors.with_timeouts(client, 5), TOOLS, QUESTIONS, ["native"], 3
    )
    assert facts["styles"]["native"]["errors"] == {
        "no answer within 5 seconds: try again, or allow more with --timeout": 1,
        "the server at http://scripted.invalid does not speak the Messages API": 1,
    }


def test_two_needless_calls_are_one_question_with_needless_calls():
    reply = prompt_styles.Reply([], "", 1, 1)
    outcomes = [results.Outcome({}, reply, None, Score(True, False, False, n, 0), 0.1) for n in (2, 0)]
    row = results.summary(outcomes)
    assert (row["needless"]["hits"], row["needless"]["n"], row["needless_calls"]) == (1, 2, 2)


def test_five_failures_at_the_start_end_it_in_one_line(api, evaluated):
    for _ in range(5):
        api.enqueue(status=401, error="invalid x-api-key")
    with pytest.raises(UserError, match=r"^the first 5 requests failed: the key is wrong \(401\)"):
        evaluated("native", "zero-shot")
    assert len(api.requests) == 5


def test_fewer_questions_than_five_that_all_fail_end_it_too(api, evaluated):
    for _ in range(2):
        api.enqueue(status=401, error="invalid x-api-key")
    with pytest.raises(UserError, match="the first 2 requests failed"):
        evaluated("native", limit=2)


def test_five_failures_later_do_not(api, evaluated):
    api.enqueue("", [("get_weather", {"city": "Oslo"})])
    for _ in range(5):
        api.enqueue(status=529, error="Overloaded")
    assert evaluated("native")["styles"]["native"]["failed_requests"] == 5


def test_a_style_that_the_backend_refuses_is_given_up_alone(api, evaluated):
    for _ in QUESTIONS:
        api.enqueue("[]")
    for _ in range(5):
        api.enqueue(status=400, error="output_config: not supported")
    for _ in QUESTIONS:
        api.enqueue("[]")
    facts = evaluated("zero-shot", "zero-shot +schema", "few-shot")
    assert list(facts["styles"]) == ["zero-shot", "few-shot"]
    assert facts["refused"] == {
        "zero-shot +schema": "the server refuses the request (400): output_config: not supported"
    }
    assert "zero-shot +schema: given up" in shown(facts)


def test_ctrl_c_keeps_what_was_measured(api, evaluated):
    for _ in QUESTIONS:
        api.enqueue("[]")
    api.enqueue("[]")
    api.enqueue("[]")
    asked = []

    def progress(what):
        asked.append(what)
        if what == "few-shot 3/6":
            raise KeyboardInterrupt

    facts = evaluated("zero-shot", "few-shot", "v1", write_progress=progress)
    assert facts["stopped"] is True
    assert {name: row["n"] for name, row in facts["styles"].items()} == {"zero-shot": 6, "few-shot": 2}
    assert "stopped by Ctrl-C" in facts["headline"]
    assert "stopped by Ctrl-C" in shown(facts)
    assert asked == [f"zero-shot {i}/6" for i in range(1, 7)] + [f"few-shot {i}/6" for i in range(1, 4)]


def test_ctrl_c_before_anything_was_measured(evaluated):
    def progress(what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluated("native", write_progress=progress)


def test_a_limit_draws_the_same_questions_for_every_style_by_the_seed(api):
    def sample(seed):
        return [row["id"] for row in evaluate.draw(QUESTIONS, 3, seed)]

    assert sample(1) == sample(1)
    assert len({tuple(sample(seed)) for seed in range(10)}) > 1
    assert all(
        sample(seed) == sorted(sample(seed), key=[row["id"] for row in QUESTIONS].index) for seed in range(9)
    )
    assert evaluate.draw(QUESTIONS, None, 0) == evaluate.draw(QUESTIONS, 99, 0) == QUESTIONS
    with pytest.raises(UserError, match="--limit 0 is not allowed"):
        evaluate.draw(QUESTIONS, 0, 0)


def test_a_label_with_a_tool_that_is_not_there(evaluated):
    rows = [QUESTIONS[0] | {"calls": [{"name": "get_wether", "input": {}}]}]
    with pytest.raises(
        UserError, match="expects the tool 'get_wether', which is not there: use get_time, get_w"
    ):
        evaluated("native", questions=rows)


def test_nothing_is_known_of_a_style_where_all_failed_later(api):
    failed = results.Outcome(None, None, "no", Score(False, False, False, 0, 1), 0.1)
    row = results.summary([failed])
    assert row["input_tokens"] is row["output_tokens"] is row["turns"] is None


def test_the_picture_shows_every_share_with_its_interval(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    plain = Axes.errorbar
    monkeypatch.setattr(
        Axes,
        "errorbar",
        lambda self, x, y, xerr, **style: drawn.append((x, xerr)) or plain(self, x, y, xerr=xerr, **style),
    )
    good = results.Outcome(
        {"kind": "a"}, prompt_styles.Reply([], "", 1, 1), None, Score(True, True, False, 0, 0), 0.1
    )
    facts = {"styles": {"native": results.summary([good])}, "by_kind": {}, "model": "$m$", "data": "d$"}
    assert pictures.draw(facts, tmp_path / "p.png") == str(tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert [x for x, _ in drawn] == [[1.0], [1.0], [0.0], [0.0]]  # valid, tool, arguments, needless
    assert [[round(float(side[0]), 3) for side in spread] for _, spread in drawn] == [
        [0.793, 0],
        [0.793, 0],
        [0, 0.793],
        [0, 0.793],
    ]


# --- Berkeley's files ------------------------------------------------------------------------------------


def test_a_file_of_berkeleys(api, tmp_path):
    rows = [bfcl_question(f"multiple_{i}", system="Be brief.") for i in range(3)]
    truth = [{"id": row["id"], "ground_truth": [{"garden_plant": {"x": [1]}}]} for row in rows]
    file = write_bfcl(tmp_path, rows, truth)
    api.enqueue("", [("garden_plant_2", {"x": 1})])
    api.enqueue("", [("garden_plant_2", {"x": 2})])
    api.enqueue("", [("garden_plant", {"what": "oak", "many": 1})])
    asked = []
    facts = evaluate.run_bfcl(load_settings(), api.client, file, write_progress=asked.append)
    native = facts["styles"]["native"]
    assert (native["right_tool"]["hits"], native["right_arguments"]["hits"], native["n"]) == (2, 1, 3)
    assert native["valid"]["hits"] == 3
    assert api.requests[0]["system"] == "Be brief."
    assert api.requests[0]["messages"] == [{"role": "user", "content": "Plant three lady's mantles."}]
    assert facts["headline"].startswith("BFCL_small: calls right in 33% (6-79) of 3 (native")
    assert asked == ["native 1/3", "native 2/3", "native 3/3"]
    assert "Plant three lady's mantles." in shown(facts)
    assert facts["command"] == "step2_tools evaluate"

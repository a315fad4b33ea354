"""The programs of one page: the project, and the tool of chapter 5."""

import logging

import httpx2
import pytest

from shared import launch
from step2_tools import minimal, own_tool
from step2_tools.agent.answer import OWN_WORDS
from step2_tools.agent.grounding import problems
from step2_tools.agent.loop import Call
from tests.scripted import ScriptedMessages

SERVICES = {
    minimal.GEOCODER: {"results": [{"name": "Bangkok", "latitude": 13.75, "longitude": 100.5}]},
    minimal.FORECAST: {"current": {"temperature_2m": 31.5, "wind_speed_10m": 8.0}},
}


@pytest.fixture
def services(monkeypatch):
    def get(url, params):
        request = httpx2.Request("GET", url, params=params)
        if params.get("name") == "Nowhere":
            return httpx2.Response(200, json={}, request=request)
        return httpx2.Response(200, json=SERVICES[url], request=request)

    monkeypatch.setattr(httpx2, "get", get)


@pytest.fixture
def api(monkeypatch, services):
    api = ScriptedMessages()
    monkeypatch.setattr(minimal, "chat_client", lambda _model: api.client)
    return api


def result_of(api):
    return api.requests[-1]["messages"][-1]["content"][0]


def test_the_result_of_the_call_goes_back_to_the_model(api):
    api.enqueue(tool_uses=[("get_weather", {"city": "Bangkok"})])
    api.enqueue("It is 31.5 °C.")
    assert minimal.answer("Is it warm in Bangkok?", "tiny") == "It is 31.5 °C."
    assert result_of(api)["content"] == "In Bangkok it is 31.5 °C now, wind 8.0 km/h."


@pytest.mark.real
@pytest.mark.parametrize("question", ["Is it warm in Bangkok?", "How windy is it in Bangkok?"])
def test_the_real_model_says_what_the_result_says(services, question):
    text = minimal.answer(question, "smollm2-135m-instruct")
    call = Call("get_weather", {"city": "Bangkok"}, minimal.get_weather("Bangkok"), is_error=False)
    assert problems(text, [call]) == []
    assert "31.5" in text


def test_what_went_wrong_is_told_to_the_model(api):
    api.enqueue(tool_uses=[("get_weather", {"city": "Nowhere"})])
    api.enqueue("I don't know.")
    assert minimal.answer("Is it warm?", "tiny") == "I don't know."
    assert result_of(api)["is_error"]
    assert "no weather for" in result_of(api)["content"]


def test_a_model_that_calls_for_ever_is_stopped(api):
    for _ in range(5):
        api.enqueue(tool_uses=[("get_weather", {"city": "Bangkok"})])
    assert minimal.answer("Is it warm?", "tiny") == ""


def test_the_error_of_the_tool_of_chapter_5_names_what_is_known(monkeypatch, capsys):
    api = ScriptedMessages()
    monkeypatch.setattr(own_tool, "chat_client", lambda _model: api.client)
    api.enqueue(tool_uses=[("find_office", {"name": "Bob"})])
    api.enqueue(tool_uses=[("find_office", {"name": "ada"})])
    api.enqueue("Room 214.")
    own_tool.main("Where is Ada's office?")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].endswith("there is no colleague 'Bob': known are Ada, Grace, Linus")
    assert '"room": 214' in shown[1]
    assert shown[2] == "Room 214."


@pytest.fixture
def run_own_tool(monkeypatch, capsys):
    """Run the script of chapter 5 with these calls and this reply: exit code, stdout, stderr, and the API."""

    def run(*flags, calls=(), reply="Room 107."):
        monkeypatch.setattr(
            logging.getLogger(), "handlers", []
        )  # pytest's; without them, warnings go to stderr
        api = ScriptedMessages()
        monkeypatch.setattr(own_tool, "chat_client", lambda _model: api.client)
        monkeypatch.setattr("sys.argv", ["own_tool", "Find the office of Grace", *flags])
        for name in calls:
            api.enqueue(tool_uses=[("find_office", {"name": name})])
        api.enqueue(reply)
        with pytest.raises(SystemExit) as ended:
            launch.run_main(own_tool.main, "python -m step2_tools.own_tool")
        out, err = capsys.readouterr()
        return ended.value.code, out, err, api

    return run


@pytest.mark.parametrize("flags", [(), ("--trace",)])
def test_the_author_of_a_tool_reads_its_exception_and_the_model_does_not(run_own_tool, monkeypatch, flags):
    monkeypatch.setattr(own_tool, "OFFICES", None)  # so the tool has a bug
    code, out, err, api = run_own_tool(*flags, calls=["Grace"])
    line = "find_office failed and gave no result"
    assert code == 0
    assert result_of(api)["content"] == line
    assert out.splitlines()[0].endswith(f"-> {line}")
    assert err.splitlines()[-1].startswith("find_office failed: AttributeError: 'NoneType' object has no")
    assert ("OFFICES.get(" in err) is bool(flags)  # the line of the tool's code
    assert "Traceback" not in out + err


@pytest.mark.parametrize("calls", [[], ["Bob"], ["Bob", "Ada"]])
def test_an_answer_of_the_own_tool_that_nothing_backs_is_the_models_own_words(run_own_tool, calls):
    code, out, _err, _api = run_own_tool(calls=calls, reply="It is on the right.")
    assert code == 0
    lines = out.splitlines()
    assert (OWN_WORDS in lines) is ("Ada" not in calls)
    if OWN_WORDS in lines:
        assert lines[-2:] == [OWN_WORDS, "It is on the right."]

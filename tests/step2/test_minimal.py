"""The programs of one page: the project, and the tool of chapter 5."""

import httpx2
import pytest

from step2_tools import minimal, own_tool
from tests.scripted import ScriptedMessages

SERVICES = {
    minimal.GEOCODER: {"results": [{"name": "Bangkok", "latitude": 13.75, "longitude": 100.5}]},
    minimal.FORECAST: {"current": {"temperature_2m": 31.5, "wind_speed_10m": 8.0}},
}


@pytest.fixture
def api(monkeypatch):
    api = ScriptedMessages()
    monkeypatch.setattr(minimal, "chat_client", lambda _model: api.client)

    def get(url, params):
        request = httpx2.Request("GET", url, params=params)
        if params.get("name") == "Nowhere":
            return httpx2.Response(200, json={}, request=request)
        return httpx2.Response(200, json=SERVICES[url], request=request)

    monkeypatch.setattr(httpx2, "get", get)
    return api


def result_of(api):
    return api.requests[-1]["messages"][-1]["content"][0]


def test_the_result_of_the_call_goes_back_to_the_model(api):
    api.enqueue(tool_uses=[("get_weather", {"city": "Bangkok"})])
    api.enqueue("It is 31.5 °C.")
    assert minimal.answer("Is it warm in Bangkok?", "tiny") == "It is 31.5 °C."
    assert result_of(api)["content"] == '{"city": "Bangkok", "celsius": 31.5, "wind_kmh": 8.0}'


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

import json
import re
import threading
from io import StringIO

import anthropic
import httpx2
import pytest
from rich.console import Console

from shared import prompts
from shared.config import load_settings
from shared.embedded import wire
from shared.errors import UserError
from step2_tools.agent.tool import FunctionTool
from step2_tools.cli import tables
from step2_tools.evaluate import prompt_styles, results, scoring
from step2_tools.optimize import run as optimize
from tests.scripted import URL

pytest.importorskip("dspy", reason='DSPy is not installed: pip install ".[dspy]"')


def get_weather(city: str, day: str = "today") -> str:
    """Get the weather."""
    return f"sunny in {city}"


def get_time(city: str) -> str:
    """Get the time."""
    return f"noon in {city}"


TOOLS = [{**FunctionTool(each).to_dict()} for each in (get_weather, get_time)]
CITIES = ["Oslo", "Rome", "Lima", "Bonn", "Kyiv", "Cork", "Graz", "Bern"]


def labelled(split, cities=CITIES):
    return [
        {
            "id": f"{split}-{city}",
            "kind": "weather",
            "question": f"Hot in {city}, {split}?",
            "calls": [{"name": "get_weather", "input": {"city": [city], "day": ["today", None]}}],
        }
        for city in cities
    ]


DEV, TEST = labelled("dev"), labelled("test")


class StandIn:
    """A server with a model that gets some cities right, and all of them once it is shown an example."""

    def __init__(self):
        self.requests = []
        self.after, self.then = None, None  # after so many calls, do this instead
        self._lock = threading.Lock()
        transport = httpx2.MockTransport(self._answer)
        self.client = anthropic.Anthropic(
            api_key="x", base_url=URL, max_retries=0, http_client=httpx2.Client(transport=transport)
        )

    @property
    def calls(self):
        return len(self.requests)

    def _answer(self, request):
        body = json.loads(request.content)
        assert wire.validate_request(body) is None
        with self._lock:
            self.requests.append(body)
            if self.after is not None and self.calls > self.after:
                return self.then()
        city = re.search(r"Hot in (\w+)|", body["messages"][-1]["content"])[1]
        right = city in ("Oslo", "Rome", "Bern", "Kyiv") or len(body["messages"]) > 1
        said = json.dumps([{"name": "get_weather" if right else "get_time", "input": {"city": city}}])
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "stand-in",
            "content": [{"type": "text", "text": said}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        return httpx2.Response(200, json=message)


@pytest.fixture
def api():
    return StandIn()


@pytest.fixture
def optimized(api, tmp_path):
    def run(style="zero-shot", dev=DEV, test=TEST, **options):
        options = {"out": tmp_path / "found"} | options
        start = prompt_styles.parse(style)
        return optimize.run(load_settings(), api.client, TOOLS, start, dev, test, **options)

    return run


def shown(facts):
    out = StringIO()
    tables.show_optimize(facts, Console(file=out, width=140, highlight=False, markup=False))
    return out.getvalue()


def test_examples_are_found_compared_on_the_held_out_questions_and_saved(api, optimized, tmp_path, capsys):
    facts = optimized()
    assert facts["dev"]["before"]["hits"] < facts["dev"]["after"]["hits"] == facts["dev"]["after"]["n"] == 6
    test = facts["test"]
    assert (test["before"]["hits"], test["after"]["hits"]) == (4, 8)
    assert (test["gained"], test["lost"], test["difference"], test["p"]) == (4, 0, 0.5, 0.12)
    assert api.calls <= 200
    old, new = (prompts.load(tmp_path / "found", "json_calls", version) for version in (1, 2))
    assert new.system == old.system
    assert new.examples
    for question, calls in new.examples:
        label = next(row["calls"] for row in DEV if row["question"] == question)
        assert scoring.score(prompt_styles.calls_in(calls), label, TOOLS).right_arguments
    assert new.meta["based_on"] == 1
    assert new.meta["score"]["test"] == test["after"]
    assert new.meta["optimizer"].startswith("BootstrapFewShotWithRandomSearch of DSPy 3")
    assert new.meta.keys() >= {"seed", "date", "model", "style"}
    out = shown(facts)
    assert "4 more are right and 0 no longer: +50 points" in out
    assert "with 8 questions, this difference may be chance" in out
    assert not capsys.readouterr().out
    assert not (load_settings().cache_dir / "dspy").exists()


def test_nothing_is_saved_where_nothing_is_better(optimized, tmp_path):
    facts = optimized(dev=labelled("dev", ["Oslo", "Rome", "Bern", "Kyiv"]))
    assert facts["saved"] is facts["test"] is None
    assert not list(tmp_path.glob("found/*"))
    assert "nothing better was found on dev" in shown(facts)


def test_a_server_that_fails_later_ends_the_search_in_one_line(api, optimized):
    wrong = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    api.after, api.then = 16, lambda: httpx2.Response(529, json=wrong)
    with pytest.raises(UserError, match="the search was given up: the server is overloaded"):
        optimized(dev=labelled("dev", CITIES * 3))


def test_the_command_asks_the_server_of_the_settings(api, command, monkeypatch, tmp_path):
    monkeypatch.setenv("ROADMAP_BASE_URL", URL)
    monkeypatch.setattr("shared.chat.client.chat_client", lambda model, settings: api.client)
    flags = ["--model", "claude-haiku-5-5", "--limit", "4", "--json", "--out", str(tmp_path / "found")]
    got = command("step2_tools", "optimize", *flags)
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert (facts["model"], facts["style"]) == ("claude-haiku-5-5", "zero-shot")
    assert facts["prompt"] == "json_calls version 1"
    assert 8 < api.calls <= 1000


def test_refusals_of_the_command(refused, monkeypatch):
    assert "--limit 4 or more" in refused("step2_tools", "optimize", "--smoke", "--limit", "3")
    native = ("optimize", "--smoke", "--style", "native")
    assert "no examples to optimize: use zero-shot" in refused("step2_tools", *native)
    assert "needs a key" in refused("step2_tools", "optimize", "--model", "claude-haiku-5-5")
    monkeypatch.setattr(optimize.util, "find_spec", lambda name: None)
    assert "dspy is not installed" in refused("step2_tools", "optimize", "--smoke")


def test_pairs_are_compared_question_by_question():
    def outcomes(rights):
        scores = [scoring.Score(True, right, right, False) for right in rights]
        return [results.Outcome({}, None, score, 0.0) for score in scores]

    found = results.compare(outcomes([1, 1, 0, 0, 0, 1]), outcomes([1, 0, 1, 1, 1, 1]), "right_tool")
    assert (found["gained"], found["lost"], found["p"]) == (3, 1, 0.62)
    assert found["difference"] == pytest.approx(0.3333)
    assert found["interval_95"][0] < 0.3333 < found["interval_95"][1]

import json
import re
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path

import anthropic
import httpx2
import pytest
from rich.console import Console

from shared import prompts
from shared.config import load_settings
from shared.embedded import wire
from shared.errors import UserError
from step2_tools import PROMPTS
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


TOOLS = [FunctionTool(get_weather), FunctionTool(get_time)]
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
    assert facts["search_calls"] + 16 == api.calls <= facts["budget"]
    old, new = (prompts.load(tmp_path / "found", "json_calls", version) for version in (1, 2))
    assert new.system == old.system
    assert new.examples
    for question, calls in new.examples:
        label = next(row["calls"] for row in DEV if row["question"] == question)
        definitions = [{**tool.to_dict()} for tool in TOOLS]
        assert scoring.score(prompt_styles.calls_in(calls), label, definitions).right_arguments
    assert new.meta["based_on"] == 1
    assert new.meta["score"]["test"] == test["after"]
    assert new.meta["optimizer"].startswith("BootstrapFewShotWithRandomSearch of DSPy 3")
    assert new.meta.keys() >= {"seed", "date", "model", "style"}
    out = shown(facts)
    assert "4 more are right and 0 no longer: +50 points" in out
    assert "with 8 questions, this difference may be chance" in out
    assert "+Hot in" in out
    assert not capsys.readouterr().out


def test_what_is_found_is_asked_as_the_evaluation_asks_it(api, optimized):
    optimized()
    sent = [json.dumps([each["system"], each["messages"][:-1]]) for each in api.requests]
    assert len(set(sent[-8:])) == 1
    assert sent[-1] in sent[8:-8]


def test_a_schema_of_the_style_holds_in_the_search_too(api, optimized):
    optimized("zero-shot +schema")
    assert all("output_config" in each for each in api.requests)


def test_nothing_is_saved_where_nothing_is_better(optimized, tmp_path):
    facts = optimized(dev=labelled("dev", ["Oslo", "Rome", "Bern", "Kyiv"]))
    assert facts["saved"] is facts["test"] is None
    assert not list(tmp_path.glob("found/*"))
    assert "nothing better was found on dev" in shown(facts)


def test_the_old_version_is_never_overwritten(optimized, tmp_path):
    first = optimized()["saved"]
    text = Path(first).read_text(encoding="utf-8")
    assert optimized()["saved"] != first
    assert Path(first).read_text(encoding="utf-8") == text


def test_the_budget_bounds_every_call(api, optimized):
    facts = optimized(budget=50)
    assert api.calls <= 50
    assert facts["candidates"] == 3 + optimize.affordable_sets(50, train=2, val=6, test=8) == 4
    calls = api.calls
    with pytest.raises(UserError, match=r"--budget 49 is too small: these questions take 50 calls"):
        optimized(budget=49)
    assert api.calls == calls
    assert optimize.affordable_sets(10**6, train=2, val=6, test=8) == optimize.SETS


def test_no_question_is_its_own_example():
    train, val = optimize.split(DEV, 0)
    assert (len(train), len(val)) == (2, 6)
    assert not {row["id"] for row in train} & {row["id"] for row in val}


def test_ctrl_c_stops_it(api, optimized):
    def interrupt():
        raise KeyboardInterrupt

    api.after, api.then = 4, interrupt
    with pytest.raises(KeyboardInterrupt):
        optimized()


def test_a_server_that_fails_later_ends_the_search_in_one_line(api, optimized):
    wrong = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    api.after, api.then = 16, lambda: httpx2.Response(529, json=wrong)
    with pytest.raises(UserError, match="the search was given up: the server is overloaded"):
        optimized(dev=labelled("dev", CITIES * 3))


def test_a_few_requests_that_fail_are_reported(api, optimized):
    wrong = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    def fail_twice():
        api.after = api.calls + 1000 if api.calls > 11 else api.after
        return httpx2.Response(529, json=wrong)

    api.after, api.then = 10, fail_twice
    assert "2 requests of the search failed: the server is overloaded" in shown(optimized())


def test_a_wrong_key_ends_it_at_the_first_questions(api, optimized):
    wrong = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
    api.after, api.then = 0, lambda: httpx2.Response(401, json=wrong)
    with pytest.raises(UserError, match="the first 5 requests failed: the key is wrong"):
        optimized()
    assert api.calls == 5


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


def test_smoke_runs_the_whole_search_on_the_tiny_model(command):
    got = command("step2_tools", "optimize", "--smoke", "--limit", "4", "--budget", "25", "--json")
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert facts["style"] == "zero-shot +schema"
    assert facts["dev"]["before"]["n"] == 3
    assert facts["saved"] is None


def test_refusals_of_the_command(refused, monkeypatch):
    assert "--limit 4 or more" in refused("step2_tools", "optimize", "--smoke", "--limit", "3")
    assert "--budget 10 is too small" in refused("step2_tools", "optimize", "--smoke", "--budget", "10")
    native = ("optimize", "--smoke", "--style", "native")
    assert "no examples to optimize: use zero-shot" in refused("step2_tools", *native)
    assert "needs a key" in refused("step2_tools", "optimize", "--model", "claude-haiku-5-5")
    monkeypatch.setattr(optimize.util, "find_spec", lambda name: None)
    assert "dspy is not installed" in refused("step2_tools", "optimize", "--smoke")


def test_pairs_are_compared_question_by_question():
    def outcomes(rights):
        scores = [scoring.Score(True, right, right, 0, 0) for right in rights]
        return [results.Outcome({}, None, None, score, 0.0) for score in scores]

    found = results.compare(outcomes([1, 1, 0, 0, 0, 1]), outcomes([1, 0, 1, 1, 1, 1]), "right_tool")
    assert (found["gained"], found["lost"], found["p"]) == (3, 1, 0.62)
    assert found["difference"] == pytest.approx(0.3333)
    assert found["interval_95"][0] < 0.3333 < found["interval_95"][1]


def test_no_folder_of_dspys_is_left_and_nothing_is_imported_for_help(tmp_path):
    code = "import sys, step2_tools.__main__; sys.exit('dspy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROMPTS.parents[1]).returncode == 0
    assert not (load_settings().cache_dir / "dspy").exists()

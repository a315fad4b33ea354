import json
import re

import pytest

from shared import prompts
from shared.cli import to_json
from shared.config import load_settings
from shared.errors import UserError
from step2_tools.cli.optimize import show
from step2_tools.evaluate.questions import Question
from step2_tools.evaluate.reply import calls_in
from step2_tools.evaluate.run import Outcome, compare
from step2_tools.evaluate.scoring import Score, score
from step2_tools.evaluate.styles import parse_style
from step2_tools.optimize import run as optimize
from tests.conftest import shown
from tests.scripted import URL
from tests.step2.test_evaluate import TOOLS

pytest.importorskip("dspy", reason='DSPy is not installed: pip install ".[dspy]"')


CITIES = ["Oslo", "Rome", "Lima", "Bonn", "Kyiv", "Cork", "Graz", "Bern"]


def labelled(split, cities=CITIES):
    questions = []
    for city in cities:
        label = {"name": "get_weather", "input": {"city": [city], "day": ["today", None]}}
        questions.append(Question(f"{split}-{city}", "weather", f"Hot in {city}, {split}?", [label]))
    return questions


DEV = labelled("dev")
TEST = labelled("test")


RIGHT_AT_ONCE = ("Oslo", "Rome", "Bern", "Kyiv")


def reply(body):
    """A model that gets some cities right, and all of them once it is shown an example."""
    city = re.search(r"Hot in (\w+)|", body["messages"][-1]["content"])[1]
    right = city in RIGHT_AT_ONCE or len(body["messages"]) > 1
    call = {"name": "get_weather" if right else "get_time", "input": {"city": city}}
    return {"text": json.dumps([call])}


@pytest.fixture
def api(api):
    api.reply = reply
    return api


@pytest.fixture
def optimized(api, tmp_path):
    def run(style="zero-shot", dev=DEV, test=TEST, **options):
        options = {"out": tmp_path / "found"} | options
        start = parse_style(style)
        return optimize.optimize_prompt(load_settings(), api.client, TOOLS, start, dev, test, **options)

    return run


def test_examples_are_found_compared_on_the_held_out_questions_and_saved(api, optimized, tmp_path, capsys):
    report = optimized()
    assert report.dev.before.hits < report.dev.after.hits == report.dev.after.n == 6
    test = report.test
    assert (test.before.hits, test.after.hits) == (4, 8)
    assert (test.gained, test.lost, test.difference, test.p) == (4, 0, 0.5, 0.12)
    assert len(api.requests) <= 200
    old, new = (prompts.load(tmp_path / "found", "json_calls", version) for version in (1, 2))
    assert new.system == old.system
    assert new.examples
    for question, calls in new.examples:
        label = next(row.calls for row in DEV if row.text == question)
        assert score(calls_in(calls), label, TOOLS).right_arguments
    assert new.meta["based_on"] == 1
    assert new.meta["score"]["test"] == to_json(test.after)
    assert new.meta["optimizer"].startswith("BootstrapFewShotWithRandomSearch of DSPy 3")
    assert new.meta.keys() >= {"seed", "date", "model", "style"}
    out = shown(show, report)
    assert "4 more are right and 0 no longer: +50 points" in out
    assert "with 8 questions, this difference may be chance" in out
    assert not capsys.readouterr().out
    assert not (load_settings().cache_dir / "dspy").exists()


def test_nothing_is_saved_where_nothing_is_better(optimized, tmp_path):
    report = optimized(dev=labelled("dev", RIGHT_AT_ONCE))
    assert report.saved is report.test is None
    assert not list(tmp_path.glob("found/*"))
    assert "nothing better was found on dev" in shown(show, report)


def test_a_server_that_fails_later_ends_the_search_in_one_line(api, optimized, monkeypatch):
    overloaded = {"status": 529, "error": "Overloaded"}
    monkeypatch.setattr(api, "reply", lambda body: overloaded if len(api.requests) > 16 else reply(body))
    with pytest.raises(UserError, match="the search failed: the server is overloaded"):
        optimized(dev=labelled("dev", CITIES * 3))


def test_the_command_asks_the_server_of_the_settings(api, command, monkeypatch, tmp_path):
    monkeypatch.setenv("ROADMAP_BASE_URL", URL)
    flags = ["--model", "claude-haiku-5-5", "--limit", "4", "--json", "--out", str(tmp_path / "found")]
    got = command("step2_tools", "optimize", *flags)
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert (facts["model"], facts["style"]) == ("claude-haiku-5-5", "zero-shot")
    assert facts["prompt"] == "json_calls version 1"
    assert 8 < len(api.requests) <= 1000


def test_refusals_of_the_command(refused, monkeypatch):
    assert "--limit 4 or more" in refused("step2_tools", "optimize", "--smoke", "--limit", "3")
    native = ("optimize", "--smoke", "--style", "native")
    assert "no examples to optimize: use zero-shot" in refused("step2_tools", *native)
    assert "needs a key" in refused("step2_tools", "optimize", "--model", "claude-haiku-5-5")
    monkeypatch.setattr(optimize.util, "find_spec", lambda name: None)
    assert "dspy is not installed" in refused("step2_tools", "optimize", "--smoke")


def test_pairs_are_compared_question_by_question():
    def outcomes(rights):
        scores = [Score(True, right, right, False) for right in rights]
        return [Outcome(DEV[0], None, score, 0.0) for score in scores]

    pair = compare(outcomes([1, 1, 0, 0, 0, 1]), outcomes([1, 0, 1, 1, 1, 1]), "right_tool")
    assert (pair.gained, pair.lost, pair.p) == (3, 1, 0.62)
    assert pair.difference == pytest.approx(0.3333)
    assert pair.interval_95[0] < 0.3333 < pair.interval_95[1]

import dataclasses
import json
import re
import subprocess
import sys
import threading
from io import StringIO

import anthropic
import httpx2
import pytest
from rich.console import Console

from shared import prompts
from shared.config import load_settings
from shared.embedded import wire, wording
from shared.errors import UserError
from step2_tools import evaluate, optimize, scoring, tune_plan, tune_report
from step2_tools.tool import FunctionTool
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
BETTER = "Turn questions into calls. Think of the weather.\n\n{{tools}}\n\nAnswer with JSON."


class StandIn:
    """A server with a model that needs to be told to think of the weather, or shown how; it writes, too."""

    def __init__(self):
        self.tasks, self.written, self.systems = 0, 0, []
        self.after, self.then = None, None  # after so many calls, do this instead
        self.hopeless, self.interrupt_at = "", None
        self._lock = threading.Lock()
        transport = httpx2.MockTransport(self._answer)
        self.client = anthropic.Anthropic(
            api_key="x", base_url=URL, max_retries=0, http_client=httpx2.Client(transport=transport)
        )

    @property
    def calls(self):
        return self.tasks + self.written

    def _answer(self, request):
        body = json.loads(request.content)
        assert wire.validate_request(body) is None
        with self._lock:
            task = "get_weather(city: string" in body.get("system", "") and "[[ ##" not in body["system"]
            self.tasks, self.written = self.tasks + task, self.written + (not task)
            if self.after is not None and self.calls > self.after:
                return self.then()
        said = self._task(body) if task else self._write(body)
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

    def _task(self, body):
        self.systems.append(body["system"])
        city = re.search(r"Hot in (\w+)|", body["messages"][-1]["content"])[1]
        told = "weather" in body["system"].replace("get_weather", "").replace("Get the weather", "")
        # City by city it is right without help, so that something can be bootstrapped.
        easy = city in ("Oslo", "Rome", "Bern", "Kyiv")
        right = city != self.hopeless and (told or easy or len(body["messages"]) > 1)
        return json.dumps([{"name": "get_weather" if right else "get_time", "input": {"city": city}}])

    def _write(self, body):
        if self.written == self.interrupt_at:
            raise KeyboardInterrupt
        asked = body["messages"][-1]["content"] + body.get("system", "")
        if "new_instruction" in asked:
            return json.dumps({"new_instruction": BETTER})
        wanted = re.findall(r"\[\[ ## (\w+) ## \]\]", body["messages"][-1]["content"].splitlines()[-1])
        answers = {"proposed_instruction": BETTER}
        fields = [f"[[ ## {name} ## ]]\n{answers.get(name, 'COMPLETE')}" for name in wanted]
        return "\n\n".join(fields)


@pytest.fixture
def api():
    return StandIn()


@pytest.fixture
def optimized(api, tmp_path):
    def run(optimizer="gepa", *, version=1, dev=DEV, test=TEST, **options):
        from step2_tools.tune_json import JsonCalls

        optimize.require_dspy(optimizer, load_settings())
        start = prompts.load(optimize.conditions.PROMPTS, "json_calls", version)
        target = JsonCalls(api.client, "stand-in", TOOLS, start)
        options = {"out": tmp_path / "found"} | options
        return optimize.run(load_settings(), target, TOOLS, dev, test, optimizer, **options)

    return run


def shown(facts):
    out = StringIO()
    optimize.show(facts, Console(file=out, width=140, highlight=False, markup=False))
    return out.getvalue()


# --- a model that writes its calls, behind a client ------------------------------------------------------


def test_gepa_finds_the_instruction_and_saves_it_with_its_scores(api, optimized, tmp_path, capsys):
    facts = optimized("gepa")
    assert facts["dev"]["before"]["hits"] == 4
    assert facts["dev"]["after"]["hits"] == 8
    test = facts["test"]
    assert test["before"]["right_arguments"]["hits"] == 4
    assert test["after"]["right_arguments"]["hits"] == 8
    assert (test["gained"], test["lost"], test["difference"], test["p"]) == (4, 0, 0.5, 0.12)
    assert facts["calls"]["search"] + 16 == api.calls <= facts["calls"]["predicted"]["all"]
    new = prompts.load(tmp_path / "found", "json_calls", 2)
    assert new.system == BETTER
    assert new.meta["based_on"] == 1
    assert new.meta["score"]["test"] == test["after"]["right_arguments"]
    assert new.meta["score"]["dev"]["n"] == 8
    assert new.meta["optimizer"].startswith("GEPA of DSPy 3")
    assert new.meta.keys() >= {"seed", "date", "model"}
    assert all("get_time(city: string): Get the time." in system for system in api.systems)
    out = shown(facts)
    assert "4 more are right and 0 no longer: +50 points" in out
    assert "cannot tell this from chance" in out
    assert "+Turn questions into calls. Think of the weather." in out
    assert not capsys.readouterr().out
    assert "litellm" not in sys.modules


def test_what_is_found_is_asked_as_the_evaluation_asks_it(api, optimized, tmp_path):
    optimized("gepa")
    in_search, held_out = set(api.systems[8:-8]), set(api.systems[-8:])
    assert held_out <= in_search
    assert len(held_out) == 1


def test_mipro_proposes_instructions_and_demonstrations(api, optimized, tmp_path):
    pytest.importorskip("optuna", reason='Optuna is not installed: pip install ".[dspy]"')
    facts = optimized("mipro", dev=labelled("dev", CITIES * 2))
    assert facts["dev"]["before"]["hits"] < facts["dev"]["after"]["hits"] == facts["dev"]["after"]["n"]
    assert facts["test"]["after"]["right_arguments"]["hits"] == 8
    assert api.written > 3
    assert api.calls <= facts["calls"]["predicted"]["all"]


def test_shots_chooses_demonstrations_and_leaves_the_instruction(api, optimized, tmp_path):
    facts = optimized("shots")
    assert facts["test"]["after"]["right_arguments"]["hits"] == 8
    assert api.written == 0
    assert api.calls <= facts["calls"]["predicted"]["all"]
    old, new = (prompts.load(tmp_path / "found", "json_calls", version) for version in (1, 2))
    assert new.system == old.system
    assert new.examples
    for question, calls in new.examples:
        assert scoring.score(
            optimize.conditions.calls_in(calls),
            next(row for row in DEV if row["question"] == question)["calls"],
            [{**tool.to_dict()} for tool in TOOLS],
        ).right_arguments


def test_nothing_is_saved_where_nothing_is_better(optimized, tmp_path):
    facts = optimized("gepa", dev=labelled("dev", ["Oslo", "Rome", "Bern", "Kyiv"]))
    assert facts["saved"] is facts["test"] is None
    assert not (tmp_path / "found").exists() or not list((tmp_path / "found").iterdir())
    assert "every question of dev is right already" in facts["headline"]
    assert "every question of dev" in shown(facts)


def test_the_old_version_is_never_overwritten(optimized, tmp_path):
    optimized("gepa")
    first = (tmp_path / "found" / "json_calls.2.md").read_text()
    facts = optimized("gepa")
    assert facts["saved"].endswith("json_calls.3.md")
    assert (tmp_path / "found" / "json_calls.2.md").read_text() == first


def test_a_budget_below_the_prediction_is_refused_before_any_call(api, optimized):
    with pytest.raises(UserError, match=r"takes up to \d+ calls of the model, more than the budget of 100"):
        optimized("gepa", budget=100)
    assert api.calls == 0


def test_a_search_that_takes_more_than_predicted_is_stopped_in_time(api, optimized, monkeypatch):
    monkeypatch.setattr(tune_plan.Plan, "predicted", {"start": 8, "search": 4, "held out": 16, "all": 28})
    facts = optimized("gepa", budget=28)
    assert api.calls <= 28
    assert facts["ended"] == "the budget was spent"
    assert facts["calls"]["search"] == 12
    assert "ended early: the budget was spent" in facts["headline"]


def test_ctrl_c_keeps_the_best_so_far(api, optimized, monkeypatch):
    api.hopeless, api.interrupt_at = "Lima", 2  # while it writes its second instruction
    facts = optimized("gepa")
    assert facts["ended"] == "Ctrl-C"
    assert facts["dev"]["after"]["hits"] == facts["test"]["after"]["right_arguments"]["hits"] == 7
    assert facts["saved"]
    assert "ended early: Ctrl-C" in shown(facts)


def test_ctrl_c_before_anything_was_measured(api, optimized):
    def interrupt():
        raise KeyboardInterrupt

    api.after, api.then = 8, interrupt
    with pytest.raises(KeyboardInterrupt):
        optimized("gepa")


def test_a_server_that_fails_is_reported_with_what_was_found_until_then(api, optimized):
    wrong = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    api.after, api.then = 16, lambda: httpx2.Response(529, json=wrong)
    facts = optimized("gepa")
    assert facts["saved"] is None
    assert facts["dev"]["before"]["hits"] == 4
    assert facts["ended"] == "10 requests in a row failed: Overloaded"
    assert facts["errors"] == {"Overloaded": 10}
    assert "requests of the search failed: Overloaded" in shown(facts)


def test_a_wrong_key_ends_it_at_the_first_questions(api, optimized):
    wrong = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
    api.after, api.then = 0, lambda: httpx2.Response(401, json=wrong)
    with pytest.raises(UserError, match="the first 5 requests failed: the key is wrong"):
        optimized("gepa")
    assert api.calls == 5


@pytest.mark.parametrize(
    ("instructions", "system"),
    [
        ("Do it with {{ tools }} now.", "Do it with {{tools}} now."),
        ("Do it.", "Do it.\n\nThe tools:\n\n{{tools}}"),
        ("{{tools}} for {{city}}\n# user\nHi", "{{tools}} for {city}\n## user\nHi"),
    ],
)
def test_any_instruction_becomes_a_prompt_that_can_be_saved_and_rendered(api, instructions, system, tmp_path):
    from step2_tools.tune_json import JsonCalls

    start = prompts.load(optimize.conditions.PROMPTS, "json_calls", 1)
    prompt = JsonCalls(api.client, "m", TOOLS, start).to_prompt(instructions, [("a {{b}}", "[]")])
    assert prompt.system == system
    assert prompts.render(prompt, tools="T")["messages"][0]["content"] == "a {b}"
    (tmp_path / "json_calls.1.md").write_text(str(start))
    prompts.save_new_version(tmp_path, prompt)
    assert prompts.load(tmp_path, "json_calls", 2).system == system


@pytest.mark.parametrize(("optimizer", "examples"), [("gepa", 5), ("shots", 0)])
def test_the_command_asks_the_server_of_the_settings(
    api, command, monkeypatch, tmp_path, optimizer, examples
):
    monkeypatch.setenv("ROADMAP_BASE_URL", URL)
    monkeypatch.setattr("shared.chat.client.chat_client", lambda model, settings: api.client)
    flags = ["--model", "claude-haiku-5-5", "--limit", "4", "--json", "--out", str(tmp_path / "found")]
    got = command("step2_tools", "optimize", "--optimizer", optimizer, *flags)
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert facts["model"] == "claude-haiku-5-5"
    assert facts["prompt"] == f"json_calls version {2 if examples else 1}"
    assert facts["metric"] == "right_arguments"
    assert 8 < api.calls <= facts["calls"]["predicted"]["all"]


# --- the embedded tool chooser ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chooser(tiny_cache):
    from step2_tools.tune_chooser import ChooserWording

    settings = load_settings(model="tiny", cache_dir=tiny_cache, device="cpu")
    return ChooserWording(settings, TOOLS)


def test_the_wording_survives_the_way_through_dspy(chooser):
    instructions, demos = chooser.to_program(chooser.start)
    prompt = chooser.to_prompt(instructions, demos)
    assert wording.of(prompt) == wording.standard()
    shown = chooser.to_prompt(
        instructions,
        [
            ("Hot?", '[{"name": "get_weather", "input": {}}, {"name": "get_weather", "input": {}}]'),
            ("Both?", '[{"name": "get_weather", "input": {}}, {"name": "get_time", "input": {}}]'),
            ("Hi", "[]"),
        ],
    )
    assert [question for question, _ in shown.examples] == ["Hot?"]
    said = wording.of(shown)
    assert said.examples == "Tool: get weather. Get the weather. (city, day)\nQuestion: Hot?\n\n"
    assert said.tool == wording.standard().tool


def test_a_rule_changes_one_thing_about_what_went_wrong():
    from step2_tools.tune_chooser import Proposer, as_text

    start = as_text("{{name}}", ["Small talk."], {"overlap": 2.0, "meaning": 60.0, "bias": 4.0, "cut": 4.0})
    propose = Proposer(0)
    for _ in range(30):
        wrong = {"write": [{"Feedback": "Wrong: too many calls."}, {"Feedback": "Right."}]}
        new = propose({"write": start}, wrong, ["write"])["write"]
        assert new != start
        lines = set(new.splitlines()) ^ set(start.splitlines())
        assert len(lines) <= 2
        assert not any("cut: 3" in line or "bias: 3" in line for line in lines)


def test_likelihoods_are_remembered_and_the_same(chooser):
    from shared.embedded.calls import Caller
    from shared.embedded.likelihood import Likelihood

    plain = Caller(Likelihood(chooser.lm.model, chooser.lm.tokenizer))
    tools = [{**tool.to_dict()} for tool in TOOLS]
    questions = [
        "What is the weather in Rome, and what time is it in Oslo?",
        "thanks",
        "Hot in bonn tomorrow",
    ]
    for question in questions:
        expected = [{"name": call.name, "input": call.input} for call in plain.calls(question, tools)]
        assert chooser.ask(chooser.start, question).calls == expected
    computed = chooser.lm.computed
    heavier = chooser.to_prompt(chooser.to_program(chooser.start)[0].replace("bias: 4.0", "bias: 5.0"), [])
    assert wording.of(heavier).bias == 5
    for question in questions:
        chooser.ask(heavier, question)
    assert chooser.lm.computed - computed <= 0.2 * computed  # another choice may need other arguments


def test_smoke_runs_the_whole_search_on_the_tiny_model(command):
    got = command("step2_tools", "optimize", "--smoke", "--json")
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert facts["metric"] == "right_tool"
    assert facts["prompt"] == "chooser version 1"
    assert facts["dev"]["before"]["n"] == 6
    assert facts["saved"] is None
    assert facts["calls"]["search"] > 6
    predicted = "up to 230 calls of the model: 218 to search on 6 questions, 12 to compare on 6 others\n"
    assert got.err.startswith(predicted)


def test_plain_begins_with_the_likelihood_alone(command, tmp_path):
    flags = ["--plain", "--limit", "4", "--optimizer", "shots", "--out", str(tmp_path)]
    got = command("step2_tools", "optimize", "--smoke", "--json", *flags)
    assert got.code == 0, got
    assert json.loads(got.out)["prompt"] == "chooser_plain version 1"
    said = wording.load(wording.PROMPTS / "chooser_plain.1.md")
    assert (said.overlap, said.meaning, said.bias) == (0, 0, 0)
    assert said.tool == wording.standard().tool


def test_shots_for_the_chooser(chooser, tmp_path):
    optimize.require_dspy("shots", load_settings())
    settings = load_settings(model="tiny")
    facts = optimize.run(settings, chooser, TOOLS, DEV[:4], TEST[:2], "shots", out=tmp_path / "found")
    assert facts["candidates"] >= 2
    assert facts["optimizer"].startswith("BootstrapFewShotWithRandomSearch")


def test_what_was_found_for_the_chooser_is_a_setting(chooser, tmp_path, monkeypatch, refused):
    (tmp_path / "chooser.1.md").write_text(str(chooser.start))
    found = dataclasses.replace(
        chooser.start,
        system="{{name}} {{description}} {{parameters}}\nUser:",
        examples=(wording.example("Hot?", TOOLS[0].to_dict()),),
        meta={
            "neutral": ["Small talk."],
            "weights": {"overlap": 1, "meaning": 2, "far": 0, "bias": 3, "cut": 4},
        },
    )
    prompts.save_new_version(tmp_path, found)
    monkeypatch.setenv("ROADMAP_CHOOSER", str(tmp_path / "chooser.2.md"))
    said = wording.load(load_settings().chooser)
    assert said.neutral == ("Small talk.\nUser:",)
    assert (said.bias, said.examples) == (3, "get weather Get the weather. city, day\nUser: Hot?\n\n")
    (tmp_path / "chooser.2.md").write_text((tmp_path / "chooser.1.md").read_text().replace("  bias", "  bia"))
    assert "weights must have overlap" in refused("step2_tools", "optimize", "--smoke")


@pytest.mark.real
def test_a_small_search_on_the_real_chooser(command, tmp_path):
    got = command("step2_tools", "optimize", "--limit", "8", "--out", str(tmp_path / "found"), "--json")
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert facts["dev"]["before"]["hits"] >= 6
    assert facts["dev"]["after"]["hits"] >= facts["dev"]["before"]["hits"]
    if facts["saved"]:
        assert wording.load(tmp_path / "found" / "chooser.2.md") != wording.standard()


# --- what it says ----------------------------------------------------------------------------------------


def test_mipro_needs_a_model_that_writes(refused):
    assert "use gepa or shots" in refused("step2_tools", "optimize", "--smoke", "--optimizer", "mipro")


def test_refusals_of_the_command(refused, monkeypatch):
    assert "--limit 4 or more" in refused("step2_tools", "optimize", "--smoke", "--limit", "3")
    assert "--budget" in refused("step2_tools", "optimize", "--smoke", "--budget", "10")
    assert "ROADMAP_CHOOSER" in refused("step2_tools", "optimize", "--smoke", "--prompt", "2")
    claude = ["--model", "claude-haiku-5-5"]
    assert "--prompt 1" in refused("step2_tools", "optimize", "--plain", *claude)
    assert "needs a key" in refused("step2_tools", "optimize", *claude)
    monkeypatch.setattr(optimize.util, "find_spec", lambda name: None)
    assert (
        refused("step2_tools", "optimize", "--smoke") == 'error: dspy not installed: pip install ".[dspy]"\n'
    )


def test_the_prediction_counts_every_use():
    plan = tune_plan.make("shots", DEV, 10, 0, embedded=False)
    assert (len(plan.train), len(plan.val)) == (2, 6)
    assert not {row["id"] for row in plan.train} & {row["id"] for row in plan.val}
    assert plan.predicted == {"start": 6, "search": 9 * 6 + 7 * 2, "held out": 20, "all": 6 + 68 + 20}


def test_pairs_are_compared_question_by_question():
    def outcomes(rights):
        scores = [scoring.Score(True, right, right, 0, 0) for right in rights]
        return [evaluate.Outcome({}, None, None, score, 0.0) for score in scores]

    found = tune_report.compare(outcomes([1, 1, 0, 0, 0, 1]), outcomes([1, 0, 1, 1, 1, 1]), "right_tool")
    assert (found["gained"], found["lost"], found["p"]) == (3, 1, 0.62)
    assert found["difference"] == pytest.approx(0.3333)
    assert found["interval_95"][0] < 0.3333 < found["interval_95"][1]


def test_no_folder_of_dspys_is_left_and_nothing_is_imported_for_help(tmp_path):
    code = "import sys, step2_tools.__main__; sys.exit('dspy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert not (load_settings().cache_dir / "dspy").exists()

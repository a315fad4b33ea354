"""Evaluation: what is compared with what, on scripted replies; tables, report and what is unknown."""

import csv
import json

import pytest

from shared.errors import UserError
from shared.stats import Share, wilson
from step4_finetune.cli import show
from step4_finetune.data.rows import PLAIN, SAMPLE, read_rows, with_notes
from step4_finetune.evaluate import run as evaluation
from step4_finetune.evaluate import systems
from step4_finetune.models.generate import Reply
from step4_finetune.train.recipe import Recipe
from step4_finetune.train.training_data import TrainingData
from tests.conftest import shown
from tests.step4 import runs
from tests.step4.samples import GUIDE, good, spoilt

BASE = "hey, that's awesome! we'll look"
MODELS = {"base": 10.0, "tone": 11.0}


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """Replies without a model: the base writes one bad reply, the tuned model each row's own good one."""
    rows = good()
    chosen = {row.message: row.chosen for row in rows}
    asked = []

    def replies(model, _tokenizer, prompts, _limit, **_more):
        asked.append((model, prompts))
        messages = [prompt[-1]["content"].split("\n\nNotes:")[0] for prompt in prompts]
        texts = [chosen[each] if model == "tone" else BASE for each in messages]
        return [Reply(text, 10 * len(prompt), 7, True) for text, prompt in zip(texts, prompts, strict=True)]

    def measure(model, _tokenizer, _guide, questions):
        counts = {"asked": len(questions), "leaked": int(model == "tone"), "answers": 4, "right": 3}
        return {"perplexity": MODELS[model], **counts}

    monkeypatch.setattr(evaluation, "replies", replies)
    monkeypatch.setattr(evaluation.forgetting, "measure", measure)
    monkeypatch.setattr(evaluation, "load_causal_lm", lambda **_: "base")
    monkeypatch.setattr(evaluation.merge, "check", lambda *_: None)
    monkeypatch.setattr(evaluation.merge, "invocation_of", lambda _adapter: None)
    monkeypatch.setattr(evaluation.merge, "load_tuned", lambda _settings, adapter: adapter.name)

    def run(**more):
        given = {"split": "test", "baselines": systems.BASELINES, "adapters": [tmp_path / "tone"]}
        return evaluation.run(runs.settings(), GUIDE, more.pop("rows", rows), **{**given, **more})

    run.asked = asked
    return run


def test_every_system_answers_every_message_of_the_split(scripted):
    facts = scripted()
    assert [each["name"] for each in facts["systems"]] == ["template", "base", "guide", "few-shot", "tone"]
    assert [each["id"] for each in facts["messages"]] == ["parcel-9", "parcel-10"]
    assert [model for model, _ in scripted.asked] == ["base"] * 3 + ["tone"]
    base, guide, shots, tone = (prompts[0] for _, prompts in scripted.asked)
    assert base == tone == [{"role": "system", "content": GUIDE.system}, base[-1]]
    assert base[-1] == {"role": "user", "content": with_notes(good()[8].message, good()[8].notes)}
    assert guide[0]["content"] == GUIDE.as_prompt()
    assert [each["role"] for each in shots] == ["system", *["user", "assistant"] * 3, "user"]
    assert shots[-1] == base[-1]
    assert shots[1]["content"] == with_notes(good()[0].message, good()[0].notes)


def test_the_template_alone_needs_no_model(scripted, monkeypatch):
    """On notes that are nearly sentences, pasting them is enough: the table must show it."""
    monkeypatch.setattr(evaluation, "load_causal_lm", lambda **_: pytest.fail("loads a model"))
    plain = read_rows(PLAIN, "test")
    facts = scripted(rows=plain, baselines=["template"], adapters=[])
    assert [each["name"] for each in facts["systems"]] == ["template"]
    (system,) = facts["systems"]
    assert min(system["all_rules"].share, system["faithful"].share) > 0.95
    assert facts["models"] == {}


def test_the_template_fails_on_notes_in_shorthand(scripted, monkeypatch):
    monkeypatch.setattr(evaluation, "load_causal_lm", lambda **_: pytest.fail("loads a model"))
    facts = scripted(rows=read_rows(SAMPLE, "dev"), split="dev", baselines=["template"], adapters=[])
    (system,) = facts["systems"]
    assert system["all_rules"].share > 0.9
    assert system["good"].share < 0.1


def test_scores_of_each_system(scripted):
    facts = scripted()
    base, tone = facts["systems"][1], facts["systems"][-1]
    assert tone["all_rules"] == Share(hits=2, n=2, share=1.0, interval_95=wilson(2, 2))
    assert tone["faithful"].hits == tone["good"].hits == tone["healthy"].hits == 2
    assert base["all_rules"].hits == base["faithful"].hits == base["good"].hits == 0
    assert base["adherence"]["mean"] < 0.6 < tone["adherence"]["mean"] == 1.0
    assert set(tone["rules"]) == {rule.id for rule in GUIDE.rules}
    assert base["rules"]["no_slang"].hits == 0
    assert (base["prompt_tokens"], tone["reply_tokens"]) == (20, 7)
    assert (base["tuned"], tone["tuned"]) == (False, True)
    assert facts["headline"] == "tone: 100% of 2 replies keep all rules"


def test_an_activated_adapter_is_measured_merged_too(scripted, monkeypatch):
    monkeypatch.setattr(evaluation.merge, "invocation_of", lambda _adapter: [1, 2])
    monkeypatch.setattr(evaluation.merge, "merged", lambda *_args, **_more: "base")
    models = scripted()["models"]
    assert list(models) == ["base", "tone", "tone, merged"]
    assert models["tone, merged"] == models["base"]


def test_differences_are_paired_and_of_the_tuned_models_only(scripted):
    facts = scripted()
    assert {each["system"] for each in facts["differences"]} == {"tone"}
    over = [each for each in facts["differences"] if each["over"] == "base"]
    rules = next(each for each in over if each["measure"] == "all_rules")
    assert (rules["difference"], rules["interval_95"], rules["n"]) == (1.0, None, 2)  # both of one topic
    assert {each["measure"] for each in over} == {"adherence", "all_rules", "faithful", "reads", "good"}
    apart = scripted(rows=[spoilt(row, topic=row.id) for row in good()])["differences"]
    rules = next(each for each in apart if each["over"] == "base" and each["measure"] == "all_rules")
    assert rules["interval_95"] == (1.0, 1.0)
    assert scripted(adapters=[])["differences"] == []


def test_intervals_resample_whole_topics():
    """Ten messages of two topics tell as much as two messages do, where those of a topic are alike."""
    alike = [1.0] * 5 + [0.0] * 5
    assert evaluation.interval(alike, ["a"] * 5 + ["b"] * 5) == (0.0, 1.0)
    low, high = evaluation.interval(alike, [None] * 10)  # each its own
    assert 0.1 < low < 0.5 < high < 0.9
    assert evaluation.interval(alike, ["a"] * 10) is None  # one topic: nothing is known of others


def test_without_notes_fidelity_is_unknown_and_shown_so(scripted, tmp_path):
    facts = scripted(rows=[spoilt(row, notes=()) for row in good()])
    for each in facts["systems"]:
        assert each["faithful"] is each["good"] is None
        assert each["all_rules"].n == 2
    assert {each["measure"] for each in facts["differences"]} == {"adherence", "all_rules"}
    head, rows = show.tables(facts)[0]
    assert [row[head.index("faithful")] for row in rows] == ["-"] * 5
    evaluation.write(facts, tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"split": "validation"}, "no rows in the split validation: use one of train, dev, test"),
        ({"baselines": ["bas"]}, "there is no baseline bas: use some of template, base, guide, few-shot"),
        ({"baselines": [], "adapters": []}, "nothing to evaluate"),
        (
            {"rows": [row for row in good() if row.split == "test"]},
            "few-shot takes its examples from rows of .*: add some, or leave few-shot out of --baselines",
        ),
    ],
)
def test_wrong_splits_and_systems_are_refused(scripted, changes, says):
    with pytest.raises(UserError, match=says):
        scripted(**changes)


def test_runs_of_the_same_name_get_their_parents(tmp_path):
    places = [tmp_path / "a" / "tone", tmp_path / "b" / "tone", tmp_path / "b" / "other", tmp_path / "c/base"]
    found = systems.systems(["base"], places, GUIDE, [])
    assert [each.name for each in found] == ["base", "a/tone", "b/tone", "other", "c/base"]
    twice = systems.systems(["base", "base"], [places[0], places[0]], GUIDE, [])
    assert [each.name for each in twice] == ["base", "tone"]


def test_the_tables_on_the_screen_and_the_files(scripted, tmp_path):
    facts = scripted()
    text = shown(show.evaluation, facts)
    for expected in ("adherence", "few-shot", "0% (0-66)", "100% (34-100)", "tone over base", "+1.00"):
        assert expected in text
    assert "11.0 (1.10)" in text
    assert f"1 of {facts['models']['tone']['asked']} " in text
    assert BASE in text
    assert "Northwind Care, test: 2 messages" in text
    assert "Northwind Care, test: 1 message;" in shown(show.evaluation, {**facts, "n": 1})
    evaluation.write(facts, folder := evaluation.output_folder(tmp_path / "out" / "report"))
    assert {path.name for path in folder.iterdir()} == {"evaluate.json", "replies.csv"}
    with (folder / "replies.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert (rows[2]["reply"], rows[2]["faithful"], rows[-1]["faithful"]) == (BASE, "False", "True")
    assert json.loads((folder / "evaluate.json").read_text())["n"] == 2


@pytest.mark.real
def test_real_a_short_training_raises_adherence(tmp_path, monkeypatch):
    """16 steps, a minute or two on one core: enough for the tone, not for the facts."""
    settings, rows = runs.settings(model=None, dtype="auto"), read_rows(SAMPLE)
    stage = {"epochs": 2, "batch_size": 4, "learning_rate": 2e-3, "warmup_steps": 2}
    recipe = Recipe.model_validate({"lora": {"last_layers": 8}, "sft": stage})
    lesson = TrainingData([row for row in rows if row.split == "train"][::6][:32], GUIDE.system)
    runs.training.run(settings, recipe, lesson, tmp_path / "run")
    monkeypatch.setattr(evaluation.forgetting, "measure", lambda *_: {})  # takes longer than the training
    monkeypatch.setattr(evaluation, "REPLY_TOKENS", 90)
    dev = [row for row in rows if row.split == "dev"][::7]  # of several topics
    found = evaluation.run(
        settings, GUIDE, dev, split="dev", baselines=["base"], adapters=[tmp_path / "run"], limit=5
    )
    base, tuned = (each["adherence"]["mean"] for each in found["systems"])
    assert tuned > base + 0.1
    assert next(each for each in found["differences"] if each["measure"] == "adherence")["interval_95"][0] > 0

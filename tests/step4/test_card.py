"""The model card: what a run says of itself, and what of an evaluation belongs there."""

import json

import pytest

from shared.errors import UserError
from shared.stats import wilson
from step4_finetune.evaluate import card_facts
from step4_finetune.train.recipe import Recipe, to_yaml
from tests.step4 import runs
from tests.step4.test_merge import train

RECIPE = Recipe.model_validate(
    {"about": "a laptop's", "lora": {"last_layers": 10}, "sft": {"epochs": 3, "learning_rate": 2e-3}}
)
RUN = {
    "recipe": RECIPE.model_dump(),
    "model": "tiny",
    "start": None,
    "system": "You answer members of Northwind Care.",
    "trainable": 16384,
    "parameters": 123200,
    "rows": 252,
    "replay": 0,
    "pairs": 0,
    "data": "e081b06a6de8",
    "dtype": "bfloat16",
    "seconds_in_all": 311.6,
    "peak_memory_mb": 1234,
    "versions": {"torch": "2.8.0", "trl": "0.24.0"},
    "commit": "abc1234",
    "machine": "2 cores",
}
SHARE = {"hits": 3, "n": 4, "share": 0.75, "interval": [0.3, 0.95]}
LITTLE = {"hits": 1, "n": 4, "share": 0.25, "interval": [0.05, 0.7]}
NONE = {"faithful": None, "healthy": None}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tone").mkdir()
    return tmp_path / "tone"


def write(folder, **changes):
    run = {name: each for name, each in {**RUN, **changes}.items() if each is not ...}
    (folder / "run.json").write_text(json.dumps(run))
    return card_facts.of_run(folder)


def evaluation(path, names=("base", "tone"), **models):
    systems = [
        {
            "name": name,
            "adherence": {"mean": 0.5 if name == "base" else 0.99, "interval": [0.4, 1.0]},
            "all_rules": LITTLE if name == "base" else SHARE,
            "both": LITTLE,
            "replies": [{}] * 4,
            **NONE,
        }
        for name in names
    ]
    path.write_text(json.dumps({"systems": systems, "models": models, "split": "test"}))
    return path


def model(perplexity, leaked):
    return {"perplexity": perplexity, "asked": 40, "leaked": leaked, "answers": 20, "right": 9}


# --- a run ------------------------------------------------------------------------------------------------


def test_a_run_says_how_it_was_trained(folder):
    assert write(folder) == {
        "data": "252 messages and replies",
        "system": "You answer members of Northwind Care.",
        "recipe": "default: a laptop's",
        "method": "sft, 3 epochs of 8 rows a step, learning rate 0.002",
        "tuning": "lora, r 16, alpha 32 on q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj of "
        "the last 10 layers",
        "weights trained": "16,384 of 123,200",
        "rows": "252",
        "fingerprint of the rows": "e081b06a6de8",
        "seed": "0",
        "number format": "bfloat16",
        "took": "312 s, 1,234 MB of memory at most",
        "machine": "2 cores",
        "versions": "torch 2.8.0, trl 0.24.0",
        "commit": "abc1234",
    }


def test_another_run_says_something_else(folder):
    said = write(folder, recipe=Recipe.model_validate({"lora": {"activated": True}}).model_dump())
    assert said["tuning"].endswith(" layers, activated by the company's system message")
    stages = {"sft": {"epochs": 3, "accumulate": 2, "learning_rate": 2e-3}, "dpo": {"learning_rate": 2e-4}}
    recipe = Recipe.model_validate({"method": "sft+dpo", "tuning": "full", **stages})
    said = write(folder, recipe=recipe.model_dump(), pairs=30, replay=120, start="runs/first", commit=None)
    assert said["recipe"] == "default"
    assert said["method"] == (
        "sft, 3 epochs of 16 rows a step, learning rate 0.002; then "
        "dpo, 1 epochs of 8 pairs a step, learning rate 0.0002"
    )
    assert said["tuning"] == "full: every weight"
    assert said["rows"] == "252, 30 pairs of chosen and rejected, 120 examples of the base model's own"
    assert said["goes on from"] == "first"
    assert "commit" not in said


def test_what_a_run_does_not_say_is_left_out(folder):
    assert card_facts.of_run(folder) == {}
    assert list(write(folder, recipe=..., system=..., peak_memory_mb=..., versions=None, rows=...)) == [
        "weights trained",
        "fingerprint of the rows",
        "number format",
        "took",
        "machine",
        "commit",
    ]
    (folder / "recipe.yaml").write_text(to_yaml(runs.recipe()))
    said = write(folder, recipe=...)
    assert said["recipe"] == "small"
    assert said["tuning"].endswith("of the last 1 layers")
    (folder / "run.json").unlink()
    assert list(card_facts.of_run(folder)) == ["recipe", "method", "tuning", "seed"]


@pytest.mark.parametrize(
    ("text", "says"), [("{", r"run\.json cannot be read"), ("[]", r"run\.json is no JSON object")]
)
def test_a_run_that_was_cut_is_one_line(folder, text, says):
    (folder / "run.json").write_text(text)
    with pytest.raises(UserError, match=says):
        card_facts.of_run(folder)


# --- an evaluation ----------------------------------------------------------------------------------------


def test_what_was_measured_stands_beside_the_base(tmp_path):
    path = evaluation(tmp_path / "evaluate.json", base=model(10.0, 0), tone=model(11.0, 2))
    rows = {row["name"]: row for row in card_facts.results(path, tmp_path / "tone")}
    assert list(rows) == [
        "adherence (test)",
        "all rules (test)",
        "both (test)",
        "leak",
        "general answers right",
        "perplexity of general text",
    ]
    low, high = wilson(2, 40)
    assert rows["adherence (test)"] == {
        "name": "adherence (test)",
        "value": 0.99,
        "base": 0.5,
        "low": 0.4,
        "high": 1.0,
        "n": 4,
    }
    assert (rows["all rules (test)"]["value"], rows["all rules (test)"]["base"]) == (0.75, 0.25)
    assert rows["leak"] == {"name": "leak", "value": 0.05, "base": 0.0, "low": low, "high": high, "n": 40}
    assert rows["perplexity of general text"]["value"] == 11.0
    assert rows["perplexity of general text"]["base"] == 10.0


def test_an_activated_adapter_also_as_merged_and_no_base(tmp_path):
    models = {"a/tone": model(10.0, 0), "a/tone, merged": model(12.0, 30)}
    path = evaluation(tmp_path / "evaluate.json", names=("a/tone", "b/tone"), **models)
    rows = {row["name"]: row for row in card_facts.results(path, tmp_path / "a" / "tone")}
    assert rows["leak"]["value"] == 0
    assert rows["leak, merged into the base"]["value"] == 0.75
    assert {row["base"] for row in rows.values()} == {None}
    assert "leak" not in [row["name"] for row in card_facts.results(path, tmp_path / "b" / "tone")]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"systems": [], "split": "dev"}'])
def test_what_is_no_evaluation_is_one_line(tmp_path, text):
    (tmp_path / "evaluate.json").write_text(text)
    with pytest.raises(UserError, match=r"holds no evaluation of tone: `evaluate --adapter"):
        card_facts.results(tmp_path / "evaluate.json", tmp_path / "tone")


# --- the command ------------------------------------------------------------------------------------------


def test_the_command_fills_the_card(command, folder, tmp_path):
    train(folder)
    write(folder)
    path = evaluation(tmp_path / "evaluate.json", base=model(10.0, 0), tone=model(11.0, 2))
    got = command("step4_finetune", "card", str(folder), "--evaluation", str(path))  # the model is the run's
    assert got.code == 0, got
    text = (folder / "README.md").read_text()
    for said in (
        "base_model: tiny\n",
        "fine-tuned on 252 messages and replies.",
        "| leak | 0.000 | 0.050 | 0.014 to 0.165 | 40 |",
        "| perplexity of general text | 10.000 | 11.000 |  |  |",
        "> You answer members of Northwind Care.",
        "- took: 312 s, 1,234 MB of memory at most",
        "- commit: abc1234",
    ):
        assert said in text
    assert str(tmp_path) not in text

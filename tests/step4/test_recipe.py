"""Recipes: the house's own, what a file may say, and that what it may not is named."""

import pytest

from shared.errors import UserError
from step4_finetune.train import recipe as recipes
from step4_finetune.train.recipe import FOLDER, read_recipe


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_every_recipe_says_what_it_is_for():
    for path in FOLDER.glob("*.yaml"):
        found = read_recipe(path.stem)
        assert found.name == path.stem
        assert 20 < len(found.about) < 130


def test_the_seed_of_the_roadmap_is_there_under_its_name():
    lora = read_recipe("seed").lora
    assert (lora.r, lora.alpha, lora.targets, lora.last_layers) == (16, 32, ["q_proj", "v_proj"], None)


def test_missing_keys_take_defaults_and_flags_override(tmp_path):
    path = written(tmp_path, "method: dpo\nsft: {epochs: 7}\n")
    found = read_recipe(path, method="sft", seed=3)
    assert (found.method, found.seed, found.sft.epochs) == ("sft", 3, 7)
    assert found.sft.batch_size == recipes.Sft().batch_size
    assert found.name == "mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("learnin_rate: 1", "learnin_rate is not known: known are name, about, task, method"),
        ("sft: {learnin_rate: 1}", "sft.learnin_rate is not known: did you mean learning_rate?"),
        ("method: sft+dpo", "method is 'sft+dpo'"),
        ("sft: {epochs: 0}", "sft.epochs is 0"),
        ("grpo: {batch_size: 6, group: 4}", "grpo: batch_size 6 is no multiple of group 4"),
        ("[1, 2]", "must hold keys and values"),
        ("method: [", "is not YAML"),
    ],
)
def test_wrong_keys_and_values_are_named_in_one_line(tmp_path, text, says):
    with pytest.raises(UserError) as caught:
        read_recipe(written(tmp_path, text))
    assert says in str(caught.value)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize("name", ["defualt", "", "nowhere/mine.yaml"])
def test_a_missing_recipe_lists_the_known_ones(name):
    with pytest.raises(UserError, match=f"there is no recipe {name}: use .*default.*seed"):
        read_recipe(name)


@pytest.mark.parametrize(
    ("rows", "epochs", "rate"),
    [(372, 3, 2e-3), (320, 3, 2e-3), (319, 4, 1.5e-3), (180, 6, 1e-3), (120, 8, 1e-3), (0, 960, 1e-3)],
)
def test_a_small_data_set_is_read_more_often_at_a_lower_rate(rows, epochs, rate):
    stage = {"epochs": 3, "batch_size": 8, "learning_rate": 2e-3, "least_steps": 120}
    sft = recipes.Recipe.model_validate({"sft": stage}).for_rows(rows).sft
    assert (sft.epochs, sft.learning_rate) == (epochs, pytest.approx(rate))
    assert read_recipe("short").for_rows(rows) == read_recipe("short")
    assert read_recipe("dpo").for_rows(rows) == read_recipe("dpo")

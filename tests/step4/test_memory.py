"""The estimate of memory: its parts by hand, what they grow with, and a container's limit."""

import pytest

from shared.models import load_tokenizer
from step4_finetune.models.sizes import SIZES
from step4_finetune.train import memory, preflight
from step4_finetune.train.memory import describe
from tests.step4 import runs

SMALL = SIZES["SmolLM2-135M"]


def estimate(tuning="lora", method="sft", dtype="bfloat16", scored=200, last_layers=10):
    recipe = runs.recipe(method, tuning, lora={"last_layers": last_layers})
    return memory.estimate(SMALL, recipe, method, 200, scored, dtype)


def test_weights_gradients_and_optimizer_by_hand():
    full = estimate("full", dtype="float32")
    assert full["weights"] == full["gradients"] == SMALL.parameters * 4
    assert (full["optimizer"], full["adapters"]) == (2 * SMALL.parameters * 4, 0)
    lora = estimate()
    assert lora["weights"] == SMALL.parameters * 2
    assert lora["adapters"] == lora["gradients"] == lora["optimizer"] / 2 == 1_628_160 * 2
    nf4 = estimate("qlora")
    assert nf4["weights"] == pytest.approx(111e6, rel=0.01)
    assert nf4["activations"] == lora["activations"]
    assert describe(lora).startswith("about 2.0 GB: logits 0.81, libraries 0.65, ")


def test_what_grows_with_what():
    base = estimate()
    assert estimate(method="dpo")["activations"] == 2 * base["activations"]  # a pair is two replies
    assert estimate(last_layers=20)["activations"] > 1.8 * base["activations"]
    assert estimate(scored=50)["logits"] == base["logits"] / 4


def test_a_containers_limit_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    whole = memory.free()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000000\n")
    (tmp_path / "memory.current").write_text("300000000\n")
    assert memory.free() == pytest.approx(whole, rel=0.2)
    (tmp_path / "memory.max").write_text("1000000000\n")
    own = memory.psutil.Process().memory_info().rss
    assert memory.free() == pytest.approx(own + 0.8e9, rel=0.05)


def test_the_head_of_a_run_is_counted_for_replies_only():
    tokenizer, lesson, settings = load_tokenizer("tiny"), runs.lesson(replay=3), runs.settings()
    lengths = preflight.check_lengths(tokenizer, lesson, 1024)
    made = lesson.tokens(tokenizer)  # as TRL gets them: rows and replay
    for each in made:
        assert (len(each["input_ids"]), sum(each["completion_mask"])) in lengths
    longest, scored = (max(each) for each in zip(*lengths, strict=True))
    less = preflight.estimate_memory(settings, runs.recipe("sft+dpo"), lengths)
    more = preflight.estimate_memory(
        settings, runs.recipe("sft+dpo"), [(whole, whole) for whole, _ in lengths]
    )
    assert less["logits"] == pytest.approx(more["logits"] * scored / longest)
    assert {**less, "logits": 0} == {**more, "logits": 0}

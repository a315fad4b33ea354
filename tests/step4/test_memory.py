"""The estimate of memory: its parts by hand, the advice, and peaks measured in processes of their own."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from trl.trainer import utils as trl_utils

from shared.models import load_tokenizer
from step4_finetune.models.sizes import SIZES
from step4_finetune.train import memory, preflight
from step4_finetune.train.memory import Plan, describe, estimate
from tests.conftest import ROOT
from tests.step4 import runs

SMALL = SIZES["SmolLM2-135M"]
PLAN = Plan(batch=8, length=200, last_layers=10)


def test_weights_gradients_and_optimizer_by_hand():
    full = estimate(SMALL, replace(PLAN, tuning="full", dtype="float32"))
    assert full["weights"] == full["gradients"] == SMALL.parameters * 4
    assert full["optimizer"] == 2 * SMALL.parameters * 4
    assert full["adapters"] == 0
    lora = estimate(SMALL, PLAN)
    assert lora["weights"] == SMALL.parameters * 2
    assert (
        lora["adapters"] == lora["gradients"] == lora["optimizer"] / 2 == 1_628_160 * 2
    )  # of the last ten layers
    nf4 = estimate(SMALL, replace(PLAN, tuning="qlora"))
    assert nf4["weights"] == pytest.approx(111e6, rel=0.01)
    assert nf4["activations"] == lora["activations"]


def test_what_grows_with_what():
    base = estimate(SMALL, PLAN)
    assert estimate(SMALL, replace(PLAN, method="dpo"))["activations"] == 2 * base["activations"]  # 2 replies
    assert estimate(SMALL, replace(PLAN, last_layers=20))["activations"] > 1.8 * base["activations"]
    assert estimate(SMALL, replace(PLAN, scored=50))["logits"] == base["logits"] / 4
    assert estimate(SMALL, replace(PLAN, device="cuda"))["logits"] < base["logits"] / 10


def test_it_is_said_in_one_line():
    assert describe(estimate(SMALL, PLAN)) == (
        "about 3.0 GB: logits 1.63, libraries 0.65, activations 0.45, weights 0.27, the rest 0.01"
    )


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


def test_the_stages_of_a_recipe_become_plans():
    stage = SimpleNamespace(batch_size=8)
    lora = SimpleNamespace(r=16, targets=["q_proj", "v_proj"], last_layers=10)
    stages = {"sft": stage, "dpo": SimpleNamespace(batch_size=4), "grpo": stage}
    recipe = SimpleNamespace(method="sft+dpo", tuning="lora", lora=lora, **stages)
    first, second = memory.plans(recipe, length=190, dtype="bfloat16")
    assert first == Plan(batch=8, length=190, targets=("q_proj", "v_proj"), last_layers=10, dtype="bfloat16")
    assert (second.method, second.batch) == ("dpo", 4)
    assert {each.scored for each in memory.plans(recipe, 190, "bfloat16", scored=90)} == {90}


def test_the_head_of_a_run_is_counted_for_replies_only(tiny_cache):
    tokenizer, lesson, settings = load_tokenizer("tiny"), runs.lesson(replay=3), runs.settings()
    lengths = preflight.check_lengths(tokenizer, lesson, 1024)
    made = lesson.tokens(tokenizer)  # as TRL gets them: rows and replay
    for each in made:
        assert (len(each["input_ids"]), sum(each["completion_mask"])) in lengths
    assert len(lengths) == 2 * 6 * 2 + 3  # chosen and rejected of rows and pairs; replay
    scored = max(learnt for _, learnt in lengths)
    assert max(sum(each["completion_mask"]) for each in made) <= scored < max(whole for whole, _ in lengths)
    less = preflight.estimate_memory(settings, runs.recipe("sft+dpo"), lengths)
    more = preflight.estimate_memory(
        settings, runs.recipe("sft+dpo"), [(whole, whole) for whole, _ in lengths]
    )
    assert less["logits"] == pytest.approx(more["logits"] * scored / max(whole for whole, _ in lengths))
    assert {**less, "logits": 0} == {**more, "logits": 0}


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_no_step_scores_more_than_was_counted(tmp_path, monkeypatch, method):
    heads, plain = [], trl_utils._ChunkedLogProbFunction.apply

    def apply(hidden, *more):
        heads.append(len(hidden))
        return plain(hidden, *more)

    monkeypatch.setattr(trl_utils, "_ChunkedLogProbFunction", SimpleNamespace(apply=apply))
    recipe, lesson = runs.recipe(method, epochs=1), runs.lesson()
    lengths = preflight.check_lengths(load_tokenizer("tiny"), lesson, 1024)
    (plan,) = memory.plans(recipe, 0, "float32", scored=max(learnt for _, learnt in lengths))
    runs.train(tmp_path / "run", recipe, lesson)
    counted = plan.scored * plan.batch * (2 if method == "dpo" else 1)
    assert 0.6 * counted < max(heads) <= counted


# A run as the trainers do it, with rows of one length; its peak memory is the last line that it prints.
MEASURE = """
import json, sys, tempfile
from shared import hardware, models
from shared.config import load_settings
from step4_finetune.models.quiet import quiet_peft
from step4_finetune.models.sizes import ALL_LINEAR
from step4_finetune.train.trainers import score_replies_only

plan = json.loads(sys.argv[1])
peft = quiet_peft()
import datasets
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
score_replies_only(plan["scored"] is not None)

settings = load_settings(device="cpu", dtype=plan["dtype"], threads=1)
tokenizer, model = models.load_tokenizer(settings=settings), models.load_causal_lm(settings=settings)
layers = model.config.num_hidden_layers
if plan["tuning"] == "full":
    model.requires_grad_(True)
else:
    chosen = list(range(layers - (plan["last_layers"] or layers), layers))
    config = peft.LoraConfig(r=16, target_modules=list(ALL_LINEAR), layers_to_transform=chosen)
    model = peft.get_peft_model(model, config, autocast_adapter_dtype=False)
reply = [{"role": "assistant", "content": " water" * ((plan["length"] - 34) // 2)}]
row = {"prompt": [{"role": "user", "content": reply[0]["content"]}]}
row |= {"completion": reply} if plan["method"] == "sft" else {"chosen": reply, "rejected": reply}
data = datasets.Dataset.from_list([row] * (2 * plan["batch"]))
with tempfile.TemporaryDirectory() as folder:
    common = dict(
        output_dir=folder, per_device_train_batch_size=plan["batch"], max_steps=2, use_cpu=True,
        bf16=False, gradient_checkpointing=False, max_length=None, report_to="none", disable_tqdm=True,
        save_strategy="no",
    )
    if plan["method"] == "sft":
        kind, args = SFTTrainer, SFTConfig(**common)
    else:
        kind, args = DPOTrainer, DPOConfig(**common, precompute_ref_log_probs=True)
    kind(model=model, args=args, train_dataset=data, processing_class=tokenizer).train()
print(hardware.peak_memory_mb() * 1e6)
"""


@pytest.mark.real
@pytest.mark.parametrize(
    "plan",
    [
        Plan(batch=8, length=160, scored=66, last_layers=10, dtype="float32"),
        Plan(batch=2, length=160, method="dpo", last_layers=10, dtype="float32"),
    ],
    ids=lambda plan: f"{plan.method}-{plan.tuning}-{plan.dtype}",
)
def test_real_peaks_lie_within_a_quarter_of_the_estimate(plan):
    got = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(vars(plan))], cwd=ROOT, capture_output=True, text=True
    )
    assert got.returncode == 0, got.stderr[-2000:]
    measured, expected = float(got.stdout.split()[-1]), sum(estimate(SMALL, plan).values())
    said = f"{measured / 1e9:.2f} GB measured, {expected / 1e9:.2f} estimated"
    assert 0.8 < measured / expected < 1.25, said

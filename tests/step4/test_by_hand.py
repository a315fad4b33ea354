"""LoRA, DPO's loss, the mask, GRPO's advantage and the bootstrap by hand are those of the libraries."""

import math
from dataclasses import replace

import pytest
import torch
import typer

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.by_hand import dpo as dpo_lesson
from step4_finetune.by_hand import grpo, lora, mask, paired
from step4_finetune.by_hand.dpo_loss import dpo, encode, log_probs, pull
from step4_finetune.cli import app, show
from step4_finetune.models.chat import conversation_ids
from step4_finetune.train.peft_setup import prepare
from step4_finetune.train.recipe import Recipe
from step4_finetune.train.training_data import TrainingData
from tests.conftest import shown
from tests.step4 import runs
from tests.step4.samples import GUIDE, good

PAIRS = good()[:3]


# --- LoRA -------------------------------------------------------------------------------------------------


def facts_of(**options):
    return lora.run(load_settings(model="tiny"), **options)


@pytest.mark.parametrize(("target", "r", "alpha"), [("q_proj", 16, 32), ("down_proj", 7, 64)])
def test_by_hand_is_what_peft_computes(target, r, alpha):
    facts = facts_of(target=target, r=r, alpha=alpha)
    assert facts["proved"]
    apart = facts["differences"]
    assert max(apart["by hand"], apart["merged"], apart["matrix"]) < 1e-5
    assert apart["at start"] == 0
    assert apart["learnt"] > 1e-3  # the adapter did something
    out, into = facts["shapes"]["W"]
    assert (facts["shapes"]["A"], facts["shapes"]["B"]) == ([r, into], [out, r])
    assert (facts["full"], facts["lora"]) == (out * into, r * (out + into))
    said = shown(show.lora, facts)
    assert f"{out} x {into}" in said
    assert "the same: by hand and by PEFT at most" in said


def test_a_layer_with_a_bias_keeps_it(tmp_path):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    models.load_tokenizer("tiny").save_pretrained(tmp_path / "qwen")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=512, num_key_value_heads=2, **sizes))
    torch.nn.init.normal_(model.model.layers[0].self_attn.q_proj.bias)
    model.save_pretrained(tmp_path / "qwen")
    assert lora.run(load_settings(model=str(tmp_path / "qwen")))["proved"]


def test_large_activations_do_not_count_as_a_difference(monkeypatch):
    """SmolLM2's last layers have outputs in the thousands, and float32 only has seven digits of each."""
    model = models.load_causal_lm("tiny", device="cpu", dtype="float32")
    model.model.layers[-1].mlp.up_proj.weight.data *= 1e4
    monkeypatch.setattr(models, "load_causal_lm", lambda **_: model)
    facts = facts_of(target="down_proj")
    assert facts["proved"], facts["differences"]


@pytest.mark.parametrize("wrong", ["forward", "merged"])
def test_the_proof_fails_when_a_part_is_wrong(monkeypatch, wrong):
    right = getattr(lora.Lora, wrong)
    monkeypatch.setattr(lora.Lora, wrong, lambda self, *args: right(self, *args) * 1.01)
    facts = facts_of()
    assert not facts["proved"]
    assert "not the same" in shown(show.lora, facts)
    with pytest.raises(typer.Exit) as ended:
        app.lora(smoke=True)
    assert ended.value.exit_code == 1


def test_another_matrix_is_refused_in_one_line():
    with pytest.raises(UserError, match="--target lm_head does not exist: use q_proj, k_proj"):
        facts_of(target="lm_head")


# --- DPO --------------------------------------------------------------------------------------------------


def test_the_loss_is_trls_value_and_gradient(tmp_path):
    tokenizer = models.load_tokenizer("tiny")
    policy = prepare(load_settings(model="tiny", dtype="float32"), Recipe()).double()
    batch = encode(tokenizer, PAIRS, GUIDE.system)
    trainer = runs.by_trl("dpo", PAIRS, tokenizer, tmp_path, policy, beta=0.3)
    theirs = trainer.data_collator(list(trainer.train_dataset))
    assert torch.equal(batch.ids, theirs["input_ids"])
    assert torch.equal(batch.attention, theirs["attention_mask"])
    assert torch.equal(batch.completion, theirs["completion_mask"])

    with torch.no_grad():
        reference = log_probs(policy, batch)
        for name, each in policy.named_parameters():
            if each.requires_grad and "lora_B" in name:
                each.normal_(std=0.1)  # away from the reference

    def gradient(loss):
        policy.zero_grad()
        loss.backward()
        return {name: each.grad.clone() for name, each in policy.named_parameters() if each.requires_grad}

    own = dpo(log_probs(policy, batch), reference, beta=0.3).loss.mean()
    other = trainer.compute_loss(policy, theirs)
    assert abs(own.item() - math.log(2)) > 0.1
    torch.testing.assert_close(own, other)
    own, other = gradient(own), gradient(other)
    assert any(each.any() for each in own.values())
    for name, each in other.items():  # in float32, all entries have the accuracy of the largest
        torch.testing.assert_close(own[name], each, atol=1e-5 * each.abs().max().item(), rtol=0)


def test_chosen_is_pulled_up_as_hard_as_rejected_is_pushed_down():
    reference = torch.tensor([-10.0, -20.0, -12.0, -15.0])  # two chosen, two rejected
    policy = torch.tensor([-9.0, -25.0, -14.0, -15.0], requires_grad=True)
    found = dpo(policy, reference, beta=0.5)
    assert found.margin.tolist() == [1.5, -2.5]
    found.loss.sum().backward()
    strength = pull(found.margin.detach(), 0.5)
    torch.testing.assert_close(policy.grad, torch.cat([-strength, strength]))
    assert strength[1] > strength[0]  # where the model is wrong, the pull is harder
    assert float(dpo(reference, reference, 0.5).loss[0]) == pytest.approx(math.log(2))


def test_the_command_moves_the_margin():
    facts = dpo_lesson.run(load_settings(model="tiny"), PAIRS, GUIDE.system)
    assert facts["losses"][0] == pytest.approx(math.log(2))
    assert facts["losses"] == sorted(facts["losses"], reverse=True)
    for pair in facts["pairs"]:
        moved = [pair[kind]["policy"] - pair[kind]["reference"] for kind in ("chosen", "rejected")]
        assert pair["margin"] == pytest.approx(0.1 * (moved[0] - moved[1]), abs=1e-4)
        assert pair["loss"] == pytest.approx(-math.log(1 / (1 + math.exp(-pair["margin"]))), abs=1e-5)
    assert "kettle-1" in (text := shown(show.dpo, {**facts, "steps": 1}))
    assert text.startswith("after 1 step of DPO")


@pytest.mark.parametrize("options", [{"beta": 0}, {"beta": math.inf}, {"beta": math.nan}, {}])
def test_numbers_and_rows_that_do_not_work_are_refused(options):
    rows = [replace(row, rejected=row.rejected if options else None) for row in PAIRS]
    with pytest.raises(UserError, match="a finite number above 0" if options else "prompt, chosen, rejected"):
        dpo_lesson.run(load_settings(model="tiny"), rows, **options)


# --- the mask, the advantage, the paired bootstrap ----------------------------------------------------------

CHAT = [
    mask.Turn("user", (1, 2), (3, 4)),
    mask.Turn("assistant", (1, 5), (6, 7)),
    mask.Turn("user", (1, 2), (8,)),
    mask.Turn("assistant", (1, 5), (9, 7)),
]


def test_the_labels_of_a_chat_with_two_turns():
    off = mask.IGNORED
    assert mask.token_labels(CHAT) == [off, off, off, off, off, off, 6, 7, off, off, off, off, off, 9, 7]
    assert mask.token_labels(CHAT, last_only=True) == [*[off] * 13, 9, 7]


def test_labels_by_hand_are_those_that_training_uses():
    """A row, its header and reply as turns: what training counts is what stands in the labels."""
    tokenizer = models.load_tokenizer(settings=load_settings(model="tiny"))
    row = PAIRS[0]
    ids, start = conversation_ids(tokenizer, row.with_system(GUIDE.system), row.chosen)
    turns = [mask.Turn("user", (), tuple(ids[:start])), mask.Turn("assistant", (), tuple(ids[start:]))]
    [counted] = TrainingData([row], GUIDE.system).tokens(tokenizer)
    learned = [int(label != mask.IGNORED) for label in mask.token_labels(turns)]
    assert learned == counted["completion_mask"]


def test_the_masked_loss_is_torchs_cross_entropy():
    logits = torch.randn(15, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor(mask.token_labels(CHAT))
    expected = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], ignore_index=mask.IGNORED)
    assert mask.masked_loss(logits, labels) == pytest.approx(float(expected), rel=1e-6)
    assert mask.masked_loss(logits, torch.full((15,), mask.IGNORED)) == 0


def test_advantages_of_two_messages():
    """Chapter 10's numbers, and a group whose replies are equally good."""
    rewards = torch.tensor([0.9, 0.7, 0.7, 0.5, 1.0, 1.0, 1.0, 1.0])
    spread = rewards[:4].std().item() + grpo.SMALL
    expected = [0.2 / spread, 0, 0, -0.2 / spread, 0, 0, 0, 0]
    assert grpo.advantages(rewards, 4).tolist() == pytest.approx(expected, abs=1e-5)


def test_the_paired_interval_is_near_that_of_the_normal_distribution():
    generator = torch.Generator().manual_seed(1)
    other = torch.rand(100, generator=generator)
    one = other + 0.1 + 0.2 * torch.randn(100, generator=generator)
    differences = one - other
    middle, error = differences.mean().item(), differences.std().item() / 10
    low, high = paired.paired_interval(one, other, paired.draw(100, 4000))
    assert (low, high) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.2 * error)
    assert paired.paired_interval(one, one, paired.draw(100, 50)) == (0, 0)

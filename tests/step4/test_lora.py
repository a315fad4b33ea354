"""LoRA by hand is PEFT's."""

import pytest
import torch
import typer

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.by_hand import lora
from step4_finetune.cli import app, show
from tests.step4.samples import shown


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

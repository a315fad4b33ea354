"""LoRA by hand is PEFT's, and the arithmetic of sizes is the libraries' count."""

import io

import pytest
import torch
from rich.console import Console

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.by_hand import lora
from step4_finetune.models.quiet import quiet_peft


def facts_of(**options):
    return lora.run(load_settings(model="tiny"), **options)


def shown(facts):
    console = Console(file=io.StringIO(), width=100, highlight=False, markup=False)
    lora.show(facts, console)
    return console.file.getvalue()


# --- one matrix -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "r", "alpha"), [("q_proj", 16, 32), ("v_proj", 4, 4), ("down_proj", 7, 64), ("k_proj", 32, 1)]
)
def test_by_hand_is_what_peft_computes(target, r, alpha):
    facts = facts_of(target=target, r=r, alpha=alpha)
    assert facts["proved"]
    assert max(facts["difference"], facts["difference_merged"], facts["difference_matrix"]) < 1e-5
    assert facts["difference_at_start"] == 0
    assert facts["largest_change"] > 1e-3  # the adapter did something
    out, into = facts["shapes"]["W"]
    assert (facts["shapes"]["A"], facts["shapes"]["B"]) == ([r, into], [out, r])
    assert (facts["full"], facts["lora"]) == (out * into, r * (out + into))


def test_the_gradient_of_a_is_zero_until_b_has_learnt():
    torch.manual_seed(0)
    ours = lora.Lora.start(torch.randn(5, 6), r=2, alpha=4)
    ours.A.requires_grad_(True)
    ours.B.requires_grad_(True)
    x = torch.randn(3, 6)
    ours.forward(x).square().sum().backward()
    assert not ours.A.grad.any()
    assert ours.B.grad.any()


def test_a_layer_with_a_bias_keeps_it(tmp_path):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    models.load_tokenizer("tiny").save_pretrained(tmp_path / "qwen")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=512, num_key_value_heads=2, **sizes))
    torch.nn.init.normal_(model.model.layers[0].self_attn.q_proj.bias)
    model.save_pretrained(tmp_path / "qwen")
    assert lora.run(load_settings(model=str(tmp_path / "qwen")))["proved"]


@pytest.mark.parametrize("wrong", ["scale", "forward", "merged"])
def test_the_proof_fails_when_a_part_is_wrong(monkeypatch, wrong):
    right = getattr(lora.Lora, wrong)
    if wrong == "scale":
        monkeypatch.setattr(lora.Lora, "scale", property(lambda self: float(self.alpha)))  # not by r
    else:
        monkeypatch.setattr(lora.Lora, wrong, lambda self, *args: right(self, *args) * 1.01)
    facts = facts_of()
    assert not facts["proved"]
    assert "not the same" in shown(facts)


def test_people_see_shapes_and_proof():
    said = shown(facts_of())
    assert "64 x 64" in said
    assert "the same: by hand and by PEFT at most" in said
    assert "0.68 % of SmolLM2-135M, 0.45 % of SmolLM2-360M, 0.18 % of SmolLM2-1.7B" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"r": 0}, "rank of 1 or more"),
        ({"target": "lm_head"}, "q_proj, k_proj"),
        ({"layer": 2}, "has layers 0 to 1"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(options, says):
    with pytest.raises(UserError, match=says):
        facts_of(**options)


# --- a whole model ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", lora.MODELS)
def test_the_arithmetic_is_pefts_count(name):
    """Of models that hold no weights (torch's meta device), so that the large one costs nothing."""
    from transformers import LlamaConfig, LlamaForCausalLM

    layers, hidden, queries, values, parameters = lora.MODELS[name]
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=hidden,
        intermediate_size={576: 1536, 960: 2560, 2048: 8192}[hidden],
        num_hidden_layers=layers,
        num_attention_heads=queries // 64,
        num_key_value_heads=values // 64,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        model = quiet_peft().get_peft_model(
            LlamaForCausalLM(config), quiet_peft().LoraConfig(r=16, target_modules=["q_proj", "v_proj"])
        )
    learn, every = model.get_nb_trainable_parameters()
    assert every == parameters + learn
    assert lora.share(*lora.MODELS[name]) == learn / every

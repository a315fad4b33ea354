"""QLoRA: what is in four bits, the trap of packed weights, and that it learns."""

import pytest
import torch

from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.models import merge, qlora
from tests.step4 import runs

functional = pytest.importorskip("bitsandbytes.functional", reason="pip install .[bitsandbytes]")

ROWS = torch.arange(5, 69).view(2, 32)
BATCH = {"input_ids": ROWS, "labels": ROWS}


def adapted(targets=("q_proj", "v_proj"), **flags):
    """The tiny model in nf4 with adapters. `trap` leaves bitsandbytes as it comes."""
    from peft import LoraConfig, get_peft_model

    trap = flags.pop("trap", False)
    model = qlora.load_in_4bit(load_settings(model="tiny", dtype="bfloat16", **flags))
    if trap:
        for layer in qlora.four_bit(model):
            layer.support_avx512bf16_for_cpu = True
    torch.manual_seed(0)
    return get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=list(targets)))


@torch.no_grad()
def look(model):
    """A first look at the loss: a forward pass in eval mode, without gradients."""
    return float(model.eval()(**BATCH).loss)


def test_linear_layers_are_in_four_bits_and_the_rest_is_not():
    model = qlora.load_in_4bit(load_settings(model="tiny", dtype="bfloat16"))
    assert len(qlora.four_bit(model)) == 14  # 7 in each of two layers
    assert not any(each.requires_grad for each in model.parameters())


@pytest.mark.skipif(not functional.has_avx512bf16(), reason="needs avx512_bf16")
def test_without_the_switch_nothing_is_learnt():
    model = adapted(trap=True)
    look(model)
    loss = model.train()(**BATCH).loss
    if loss.requires_grad:
        loss.backward()
    with pytest.raises(UserError, match="8 of 8 trainable tensors get no gradient"):
        qlora.check_gradients(model)


def test_it_learns_after_a_forward_pass_without_gradients():
    model = adapted()
    before = look(model)
    model.train()
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=2e-2)
    for _ in range(15):
        model(**BATCH).loss.backward()
        qlora.check_gradients(model)
        optimizer.step()
        optimizer.zero_grad()
    assert look(model) < before - 1


def test_an_adapter_is_merged_into_the_four_bit_base_that_it_was_trained_on(tmp_path):
    run, settings = tmp_path / "run", runs.settings()
    runs.train(run, runs.recipe(tuning="qlora"))
    with torch.no_grad():
        beside = merge.with_adapter(settings, qlora.load_in_4bit(settings), run)(ROWS).logits
        model = merge.load_tuned(settings, run)
        assert not qlora.four_bit(model)
        assert torch.allclose(model(ROWS).logits, beside, atol=1e-4)
        (run / "run.json").unlink()  # an adapter from elsewhere
        assert not torch.allclose(merge.load_tuned(settings, run)(ROWS).logits, beside, atol=1e-3)


def test_an_activated_adapter_stays_beside_its_four_bit_base(tmp_path):
    run, settings = tmp_path / "run", runs.settings()
    activated = {"last_layers": 1, "activated": True}
    runs.train(run, runs.recipe(tuning="qlora", sft={"replay": 0}, lora=activated), runs.lesson(replay=0))
    with torch.no_grad():  # these rows don't call it
        got, base = merge.load_tuned(settings, run)(ROWS).logits, qlora.load_in_4bit(settings)(ROWS).logits
    assert torch.allclose(got, base, atol=1e-4)


def test_without_bitsandbytes_one_line_names_the_extra(monkeypatch):
    monkeypatch.setattr(qlora, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"pip install \.\[bitsandbytes\]"):
        qlora.load_in_4bit(load_settings(model="tiny"))


def test_on_apple_it_is_refused(monkeypatch):
    monkeypatch.setattr(qlora, "choose_device", lambda _wanted: "mps")
    with pytest.raises(UserError, match="not on mps"):
        qlora.load_in_4bit(load_settings(model="tiny"))

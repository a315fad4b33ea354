"""The frozen layers as a table: the same loss, gradients and adapter as without, and no trace afterwards."""

import pytest
import torch
from safetensors.torch import load_file

from shared import models
from step4_finetune.train import peft_setup
from step4_finetune.train.frozen_cache import Empty, cached_trunk
from tests.step4 import runs

PAD = 2
ROWS = [list(range(5, 25)), list(range(40, 52)), [7, 9, PAD]]  # one ends with the token that also pads


def batch(rows=ROWS, width=None):
    """Padded on the right, as TRL's collators do; no loss on padding."""
    width = width or max(map(len, rows))
    ids = torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def adapted(**changes):
    """The tiny model with an adapter on its last layer that has learnt something."""
    model = peft_setup.prepare(runs.settings(), runs.recipe(**changes))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, each in model.named_parameters():
            if "lora_B" in name:
                each.normal_(std=0.1)
    return model


def gradients(model, rows):
    model.zero_grad()
    loss = model(**rows).loss
    loss.backward()
    return float(loss.detach()), {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("width", [None, 32])
def test_loss_and_gradients_are_those_without_it(width):
    model, rows = adapted(), batch(width=width)
    loss, expected = gradients(model, rows)
    with cached_trunk(model.get_base_model(), 1, PAD) as trunk:
        for _ in range(2):  # computed, then looked up
            again, found = gradients(model, rows)
            assert again == pytest.approx(loss, rel=1e-5)
            assert found.keys() == expected.keys()
            for name, each in found.items():
                torch.testing.assert_close(each, expected[name], rtol=1e-4, atol=1e-6)
    assert (trunk.computed, trunk.looked_up) == (3, 3)


def test_a_row_is_known_again_whatever_padding_stands_behind_it():
    model = adapted()
    with cached_trunk(model.get_base_model(), 1, PAD) as trunk, torch.no_grad():
        for width in (20, 24, 40):
            model(**batch(width=width))
    assert (trunk.computed, trunk.looked_up) == (3, 6)
    assert {len(key) for key in trunk.rows} == {20, 12, 2}


def test_keys_have_no_padding_and_are_never_empty():
    model = adapted()
    with cached_trunk(model.get_base_model(), 1, PAD) as trunk:
        assert trunk.key([5, 6, PAD, PAD]) == trunk.key([5, 6, PAD]) == trunk.key([5, 6]) == (5, 6)
        assert trunk.key([5, PAD, 6]) == (5, PAD, 6)
        assert trunk.key([PAD, PAD]) == (PAD,)


def test_the_layers_are_back_afterwards_even_after_an_error():
    model = adapted()
    body = model.get_base_model().get_decoder()
    layers, embed = list(body.layers), body.embed_tokens
    before = {name: each.clone() for name, each in model.state_dict().items()}

    def fail():
        with cached_trunk(model.get_base_model(), 1, PAD):
            assert isinstance(body.layers[0], Empty)
            assert body.layers[1] is layers[1]
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(body.layers) == layers
    assert body.embed_tokens is embed
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_adapters_keep_the_numbers_of_their_layers(tmp_path):
    model = adapted()
    names = {name for name, each in model.named_parameters() if each.requires_grad}
    assert all(".layers.1." in name for name in names)
    with cached_trunk(model.get_base_model(), 1, PAD):
        assert {name for name, each in model.named_parameters() if each.requires_grad} == names
        model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert len(saved) == 14
    assert all("model.layers.1." in name for name in saved)


def test_nothing_below_the_first_layer_means_no_table():
    model = adapted()
    with cached_trunk(model.get_base_model(), 0, PAD) as trunk:
        assert trunk is None


def test_it_holds_no_weights_of_its_own():
    model = adapted()
    count = sum(each.numel() for each in model.get_base_model().get_decoder().layers[0].parameters())
    everything = sum(each.numel() for each in model.parameters())
    with cached_trunk(model.get_base_model(), 1, PAD):
        assert sum(each.numel() for each in model.parameters()) == everything - count


def test_what_is_written_is_the_same_as_without():
    model = adapted().eval()
    rows = {"input_ids": torch.tensor([ROWS[0]])}
    with torch.no_grad():
        expected = model(**rows).logits
        with cached_trunk(model.get_base_model(), 1, PAD):
            torch.testing.assert_close(model(**rows).logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_training_gives_the_same_adapter_with_and_without(tmp_path, method):
    for name, cached in (("with", True), ("without", False)):
        runs.train(tmp_path / name, runs.recipe(method, cache_frozen=cached))
    found, expected = (
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("with", "without")
    )
    assert found.keys() == expected.keys()
    for name, each in found.items():
        # Adam's four steps move a weight by up to 0.02, one without a gradient by as much as rounding says.
        torch.testing.assert_close(each, expected[name], rtol=1e-3, atol=5e-5)


@pytest.mark.real
def test_real_loss_and_gradients_are_those_without_it():
    from step4_finetune.train.recipe import Recipe

    model = peft_setup.prepare(runs.settings(model=None), Recipe())
    pad = models.load_tokenizer().pad_token_id
    loss, expected = gradients(model, batch())
    with cached_trunk(model.get_base_model(), 20, pad):
        again, found = gradients(model, batch())
    assert again == pytest.approx(loss, rel=1e-4)
    for name, each in found.items():
        torch.testing.assert_close(each, expected[name], rtol=1e-2, atol=1e-4)

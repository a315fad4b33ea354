"""The adapter beside the model: at work when asked, gone otherwise, refused where it does not fit."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from shared import models
from shared.config import load_settings
from shared.embedded.adapter import CONFIG, WEIGHTS, Adapter
from shared.embedded.backend import Backend
from shared.embedded.on_transformers import TransformersEngine
from shared.embedded.wire import validate_request
from shared.errors import UserError
from tests.shared.fake_engine import TOOL

LAYER = "model.layers.0.mlp.down_proj"


@pytest.fixture
def model():
    return models.load_causal_lm("tiny", settings=load_settings(model="tiny", dtype="float32"))


@pytest.fixture
def folder(tmp_path, model):
    return written(tmp_path / "adapter", model)


def written(folder: Path, model, layer: str = LAYER, **config) -> Path:
    """A random adapter of rank 2 for one matrix of the model."""
    folder.mkdir()
    out, into = dict(model.named_modules())[LAYER].weight.shape
    torch.manual_seed(0)
    name = f"base_model.model.{layer}"
    tensors = {f"{name}.lora_A.weight": torch.randn(2, into), f"{name}.lora_B.weight": torch.randn(out, 2)}
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 8} | config))
    return folder


def test_switched_on_it_adds_its_product_and_switched_off_nothing_is_left(model, folder):
    ids = torch.tensor([[1, 2, 3]])
    before = model(ids).logits
    adapter = Adapter.load(folder, model)
    assert torch.equal(model(ids).logits, before)
    with adapter.on():
        changed = model(ids).logits
    assert torch.equal(model(ids).logits, before)
    assert not torch.allclose(changed, before)

    from safetensors.torch import load_file

    tensors = load_file(folder / WEIGHTS)
    a, b = (tensors[f"base_model.model.{LAYER}.lora_{each}.weight"] for each in "AB")
    dict(model.named_modules())[LAYER].weight.data += 8 / 2 * (b @ a)
    torch.testing.assert_close(model(ids).logits, changed, rtol=1e-4, atol=1e-4)


def test_an_adapter_of_another_model_is_refused(model, tmp_path):
    folder = written(tmp_path / "adapter", model, base_model_name_or_path="some/base")
    Adapter.load(folder, model)
    Adapter.load(folder, model, "some/base")
    with pytest.raises(UserError, match=r"is for another model: some/base, not some/chat"):
        Adapter.load(folder, model, "some/chat")
    other = written(tmp_path / "other", model, layer="model.layers.99.mlp.down_proj")
    with pytest.raises(UserError, match=r"is for another model: .*layers.99"):
        Adapter.load(other, model)


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda folder: (folder / CONFIG).unlink(), "there is no adapter in"),
        (lambda folder: (folder / CONFIG).write_text("{"), "adapter_config.json is damaged"),
        (lambda folder: (folder / CONFIG).write_text('{"peft_type": "IA3"}'), "is of kind IA3"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"x" * 40), "adapter_model.safetensors is damaged"),
        (lambda folder: (folder / WEIGHTS).unlink(), "adapter_model.safetensors is damaged"),
    ],
)
def test_a_damaged_folder_is_one_line(model, folder, damage, line):
    damage(folder)
    with pytest.raises(UserError, match=line) as refused:
        Adapter.load(folder, model)
    assert "\n" not in str(refused.value)


def test_text_without_tools_is_that_of_the_model_without_the_adapter(folder):
    settings = load_settings(model="tiny", dtype="float32")
    body = {"model": "tiny", "max_tokens": 12, "messages": [{"role": "user", "content": "Hello there"}]}
    hello = validate_request(body)
    hello_with_tools = validate_request({**body, "tools": [TOOL]})

    def texts(adapter):
        engine = TransformersEngine(
            models.load_causal_lm("tiny", settings=settings), models.load_tokenizer("tiny"), adapter
        )
        backend = Backend(settings, engine)
        first = "".join(backend.answer(hello).text)
        backend.answer(hello_with_tools)
        return first, "".join(backend.answer(hello).text)

    assert texts(folder) == texts(None)

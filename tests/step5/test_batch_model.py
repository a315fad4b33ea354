"""The batcher's forward pass and the weights that it reads."""

import json
import random
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from shared import hardware
from shared.config import load_settings
from shared.errors import UserError
from step5_serving.engines.batching import linear
from step5_serving.engines.batching.engine import BatchEngine
from step5_serving.engines.batching.kv_cache import KVCache
from step5_serving.engines.batching.llama import Llama
from step5_serving.engines.batching.model_runner import ModelRunner
from step5_serving.engines.batching.weights import DEFAULTS, Weights, checked


def decoded(llama, rows, chunk):
    """Logits of the last tokens of each row; the others are read in chunks."""
    runner = ModelRunner(llama, KVCache(llama))
    runner.cache.resize(9, 512, [])
    for slot, ids in enumerate(rows):
        read(runner, slot, ids[:-1], chunk)
    return runner.decode([(slot, len(ids) - 1, ids[-1:]) for slot, ids in enumerate(rows)])


def read(runner, slot, ids, chunk):
    for start in range(0, len(ids), chunk):
        runner.prefill(slot, ids[start : start + chunk], start)


def rows_of(*lengths):
    chance = random.Random(0)
    return [[chance.randrange(3, 512) for _ in range(n)] for n in lengths]


@torch.inference_mode()
def test_the_forward_by_hand_gives_the_logits_of_the_model(loaded, tiny_weights):
    """For tokens of some slots only, and a different number of each."""
    model, rows = loaded[0], rows_of(6, 40, 90)
    llama = Llama(tiny_weights)
    runner = ModelRunner(llama, KVCache(llama))
    runner.cache.resize(8, 512, [])
    sizes = {1: 3, 4: 1, 6: 5}
    for (slot, size), ids in zip(sizes.items(), rows, strict=True):
        read(runner, slot, ids[:-size], 32)
    before = [layer.clone() for layer in runner.cache.layers]
    asked = zip(sizes.items(), rows, strict=True)
    spans = [(slot, len(ids) - size, ids[-size:]) for (slot, size), ids in asked]
    logits = runner.decode(spans[::-1]).split([5, 1, 3])[::-1]
    for ids, ours in zip(rows, logits, strict=True):
        theirs = model(input_ids=torch.tensor([ids])).logits[0, -len(ours) :]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)
    for old, new in zip(before, runner.cache.layers, strict=True):  # nothing else was written
        for slot, start, ids in spans:
            old[:, slot, :, start : start + len(ids)] = new[:, slot, :, start : start + len(ids)]
        assert torch.equal(old, new)


def largest_change(weights, dtype, kernel):
    """How much a row's logits change with its company, and with how its prompt is cut, at most."""
    llama = Llama(replace(weights, dtype=dtype), linear.int8 if kernel == "int8" else None)
    rows = rows_of(*(random.Random(0).choices(range(2, 150), k=9)))
    together = decoded(llama, rows, 500)
    others = [
        torch.cat([decoded(llama, [ids], 500) for ids in rows]),
        decoded(llama, rows, 13),
        torch.cat([decoded(llama, rows[:4], 64), together[4:]]),
    ]
    return max((each - together).abs().max().item() for each in others), together


@torch.inference_mode()
@pytest.mark.parametrize("kernel", ["best", "int8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_depends_on_others_by_no_more_than_its_number_format_rounds(tiny_weights, dtype, kernel):
    """In a batch of 1 to 9, however the prompt was cut: bfloat16 no further than from float32.

    With the packed kernel not at all, to the last bit: for bfloat16 it needs AVX-512. With AMX, attention's
    products may be computed in another order.
    """
    change, logits = largest_change(tiny_weights, dtype, kernel)
    flags, is_float32 = hardware.cpu_flags(), dtype == torch.float32
    is_packed = linear.packed(torch.ones(4, 8)).__name__ == "multiply"
    if is_packed and "amx_bf16" not in flags and (is_float32 or "avx512bw" in flags):
        assert change == 0
    elif is_float32:
        assert change < 1e-4
    else:
        _, exact = largest_change(tiny_weights, torch.float32, kernel)
        assert change <= (logits - exact).abs().max().item()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model_type": "qwen3"}, "batches plain Llama models only"),
        ({"hidden_act": "gelu"}, "batches plain Llama models only"),
        ({"attention_bias": True}, "batches plain Llama models only"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "batches plain Llama models only"),
        ({"rope_parameters": None, "rope_scaling": {"type": "linear"}}, "batches plain Llama models only"),
        ({"quantization_config": {"quant_method": "awq"}}, "these are quantized: use engine vllm"),
    ],
)
def test_other_architectures_are_refused_in_one_line(loaded, change, line):
    config = {**DEFAULTS, **loaded[0].config.to_dict()}
    for theta in ({"rope_parameters": {"rope_type": "default", "rope_theta": 5.0}}, {"rope_theta": 5.0}):
        assert checked({**config, "rope_parameters": None, **theta})["rope_theta"] == 5.0
    with pytest.raises(UserError, match=line):
        checked({**config, **change})


def test_weights_are_read_as_transformers_reads_them(loaded, tiny_weights, tmp_path):
    model, _ = loaded
    tensors = model.state_dict()
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len([*tmp_path.glob("*.safetensors")]) > 1
    in_parts = Weights.read(load_settings(model=str(tmp_path), dtype="float32"))
    assert tiny_weights.ends == in_parts.ends == {model.generation_config.eos_token_id}
    for name in tiny_weights.tensors:
        assert torch.equal(tiny_weights.get(name), tensors[name])
        assert torch.equal(in_parts.get(name), tensors[name])


@pytest.mark.parametrize(
    ("damaged", "said"),
    [(None, None), ("model.safetensors", None), ("config.json", "'vocab_size' is missing from its files")],
)
def test_loading_keeps_threads_and_damaged_files_are_one_line(loaded, tmp_path, monkeypatch, damaged, said):
    for each in loaded:
        each.save_pretrained(tmp_path)
    if damaged == "model.safetensors":
        (tmp_path / damaged).write_bytes(b"none")
    if damaged == "config.json":
        config = json.loads((tmp_path / damaged).read_text())
        del config["vocab_size"]
        (tmp_path / damaged).write_text(json.dumps(config))
    monkeypatch.setenv("ROADMAP_THREADS", "auto")
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(UserError, match=said) if damaged else nullcontext():
            engine = BatchEngine.load(load_settings(model=str(tmp_path)))
            assert engine.core._threads == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

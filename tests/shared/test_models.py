import logging
import shutil

import pytest
import torch

from shared import hardware, models
from shared.config import load_settings
from shared.errors import UserError
from shared.models import device, tiny, weights
from shared.models.quiet import quiet_transformers


def test_tiny_is_built_the_same_every_time(tmp_path):
    for folder in ("one", "two"):
        tiny.build(tmp_path / folder)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_tiny_has_every_part_of_its_big_siblings():
    model, tokenizer = models.load_causal_lm("tiny"), models.load_tokenizer("tiny")
    assert (model.config.num_hidden_layers, model.config.hidden_size, len(tokenizer)) == (2, 64, 512)
    assert model.config.num_key_value_heads < model.config.num_attention_heads
    assert model.lm_head.weight is model.model.embed_tokens.weight
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert not model.training


@pytest.mark.parametrize(
    ("flags", "vendor", "one_token", "batch"),
    [
        ("avx2", "AuthenticAMD", torch.float32, torch.float32),
        ("avx512_bf16", "AuthenticAMD", torch.bfloat16, torch.bfloat16),
        ("avx512_bf16", "GenuineIntel", torch.bfloat16, torch.float32),  # its products are faster in float32
        ("amx_bf16 avx512_bf16", "GenuineIntel", torch.bfloat16, torch.bfloat16),
        ("", "", torch.float32, torch.float32),  # a system that does not list them
    ],
)
def test_the_dtype_follows_the_features_of_the_processor(monkeypatch, flags, vendor, one_token, batch):
    monkeypatch.setattr(hardware, "_cpuinfo", lambda: {"flags": flags, "vendor_id": vendor})
    assert device.choose_dtype("auto", "cpu") == one_token
    assert f"torch.{device.settings_for_batch(load_settings()).dtype}" == str(batch)
    assert device.settings_for_batch(load_settings(dtype="bfloat16")).dtype == "bfloat16"


@pytest.fixture
def threads():
    """Sets torch's threads as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_threads_and_dtype_are_as_set_or_chosen_with_a_reason(monkeypatch, threads):
    monkeypatch.setattr(hardware, "_cpuinfo", lambda: {"flags": "avx512_bf16"})
    for cores, expected in ((16, 8), (4, 4), (1, 1)):
        torch.set_num_threads(8)
        monkeypatch.setattr(hardware, "cores", lambda cores=cores: cores)
        assert device.use_threads(load_settings(threads="auto")) == expected
    said = device.describe_choice(load_settings(threads="auto"), "cpu")
    assert said == "bfloat16 (auto: avx512_bf16), 1 thread (auto: 1 core)"
    assert device.use_threads(load_settings(threads=2)) == 2
    said = device.describe_choice(load_settings(dtype="float32", threads=2), "cpu")
    assert said == "float32 (as set), 2 threads (as set)"


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 4), ("150000 100000", 2), ("50000 100000", 1)]
)
def test_a_containers_quota_limits_the_cores(monkeypatch, tmp_path, quota, expected):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(hardware, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert hardware.cores() == expected


def test_libraries_are_quiet_about_optional_kernels():
    """bitsandbytes logs "Failed to load CPU gemm_4bit_forward ..." at import on processors with bf16."""
    quiet_transformers()
    for name in ("bitsandbytes.backends.cpu.ops", "torchao.kernel"):
        assert not logging.getLogger(name).isEnabledFor(logging.WARNING)


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"device cuda is not on this machine: use cpu.* or auto"):
        device.choose_device("cuda")


@pytest.mark.parametrize(
    ("file", "content", "load"),
    [
        ("config.json", b'{"model_type": "no-such-type"}', models.load_causal_lm),
        ("model.safetensors", b"x" * 100, models.load_causal_lm),
        ("tokenizer.json", b"x", models.load_tokenizer),
    ],
)
def test_a_damaged_file_in_an_own_folder_is_named(tmp_path, file, content, load):
    shutil.copytree(weights.ensure("tiny"), tmp_path / "mine")
    (tmp_path / "mine" / file).write_bytes(content)
    with pytest.raises(UserError, match="cannot be loaded"):
        load(str(tmp_path / "mine"))


def test_a_local_folder_loads_like_an_id_and_the_dtype_is_as_asked():
    folder = str(weights.ensure("tiny"))
    by_id, by_folder = (models.load_causal_lm(name, dtype="float16") for name in ("tiny", folder))
    assert torch.equal(by_id.lm_head.weight, by_folder.lm_head.weight)
    assert by_id.dtype == by_folder.dtype == torch.float16
    vectors = models.load_embedder(load_settings(embedder="tiny")).encode(["one", "two"])
    assert vectors.shape == (2, 64)

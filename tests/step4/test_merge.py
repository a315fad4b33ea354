"""Merging: equal to the adapter beside the base, and in the right base only."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.models import merge
from step4_finetune.models.quiet import quiet_peft
from tests.step4 import runs

IDS = torch.arange(5, 45)[None]


def train(folder, model="tiny", base=None, **options):
    """An adapter as if it had learnt, saved in PEFT's format. Returns the logits of base plus adapter."""
    peft = quiet_peft()
    base = base or models.load_causal_lm(model, dtype="float32")
    torch.manual_seed(1)
    config = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], **options}
    adapted = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **config))
    with torch.no_grad():
        for name, each in adapted.named_parameters():
            if "lora_B" in name:
                each.normal_(std=0.1)
        logits = adapted.eval()(IDS).logits
    adapted.save_pretrained(folder)
    return logits


def recorded(run):
    return json.loads((run / merge.CONFIG).read_text())["base_model_name_or_path"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_cache):
    """A run of the tiny model, and the logits of base plus adapter."""
    out = tmp_path_factory.mktemp("runs") / "run"
    with runs.on_tiny(tiny_cache):
        return out, train(out)


@pytest.fixture
def settings():
    return load_settings(model="tiny", dtype="float32")


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


def change(adapter, **values):
    path = adapter / merge.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_merged_is_base_plus_adapter(settings, trained):
    model = merge.merged(settings, trained[0])
    assert type(model).__name__ == "LlamaForCausalLM"
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, trained[1], atol=1e-4, rtol=1e-4)
        plain = models.load_causal_lm("tiny", dtype="float32")(IDS).logits
    assert (plain - trained[1]).abs().max() > 0.1  # the adapter did something


def test_a_saved_model_is_plain_and_in_bf16(settings, trained, tmp_path):
    out = tmp_path / "new" / "tone"
    merge.save(settings, trained[0], out)
    assert {each.dtype for each in load_file(out / "model.safetensors").values()} == {torch.bfloat16}
    again = load_settings(model=str(out), dtype="float32")
    with torch.no_grad():
        logits = models.load_causal_lm(settings=again)(IDS).logits
    torch.testing.assert_close(logits, trained[1], atol=0.2, rtol=0.05)
    assert models.load_tokenizer(settings=again).chat_template
    assert str(tmp_path) not in (out / "config.json").read_text()


def test_the_base_is_recorded_by_name_and_recognised_by_its_folder(settings, run):
    assert merge.base_name(load_settings(model="smollm2-360m-instruct")).startswith("HuggingFaceTB/")
    assert Path(recorded(run)).is_dir()  # by PEFT: where the base was loaded from
    merge.check(settings, run)
    merge.stamp(settings, run)
    assert recorded(run) == "tiny"
    for named in ("tiny", "", None, "/elsewhere/models/tiny/built-1234"):
        change(run, base_model_name_or_path=named)
        merge.check(settings, run)


def cut(run):
    data = (run / merge.WEIGHTS).read_bytes()
    (run / merge.WEIGHTS).write_bytes(data[: len(data) // 2])


def not_a_number(run):
    tensors = load_file(run / merge.WEIGHTS)
    save_file({key: each * torch.nan for key, each in tensors.items()}, run / merge.WEIGHTS)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda run: (run / merge.CONFIG).unlink(), "is not an adapter: it has no adapter_config.json"),
        (lambda run: (run / merge.CONFIG).write_text("{"), "is damaged"),
        (lambda run: change(run, peft_type="IA3"), "kind IA3"),
        (lambda run: (run / merge.WEIGHTS).unlink(), "it has no adapter_model.safetensors"),
        (cut, "does not fit tiny"),
        (not_a_number, "cannot be merged"),
        (lambda run: change(run, base_model_name_or_path="org/other"), "trained on org/other, not on tiny"),
        (shutil.rmtree, "there is no run in"),
    ],
)
def test_damaged_and_foreign_adapters_are_refused_in_one_line(settings, run, tmp_path, break_it, says):
    break_it(run)
    with pytest.raises(UserError, match=says) as caught:
        merge.save(settings, run, tmp_path / "tone")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "tone").exists()


def test_an_adapter_of_another_size_is_refused(settings, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 2}
    train(tmp_path / "run", base=LlamaForCausalLM(LlamaConfig(vocab_size=512, **sizes)))
    with pytest.raises(UserError, match="does not fit tiny"):
        merge.merged(settings, tmp_path / "run")

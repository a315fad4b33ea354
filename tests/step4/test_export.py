"""What is handed on: adapters merged into the right base only, and files for each engine."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.cli import show
from step4_finetune.export import files
from step4_finetune.models import merge
from step4_finetune.models.quiet import quiet_peft
from tests.conftest import shown

IDS = torch.arange(5, 45)[None]
SYSTEM = "You answer for Northwind Care.\nKeep its tone."


def train(folder):
    """An adapter as if it had learnt, saved in PEFT's format. Returns the logits of base plus adapter."""
    peft = quiet_peft()
    torch.manual_seed(1)
    config = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]}
    base = models.load_causal_lm("tiny", dtype="float32")
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
def trained(tmp_path_factory):
    """A run of the tiny model, and the logits of base plus adapter."""
    out = tmp_path_factory.mktemp("runs") / "run"
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
        (lambda run: change(run, r=5), "does not fit tiny"),
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


# --- files for each engine --------------------------------------------------------------------------------


def test_all_forms_are_written_with_their_commands(settings, run, tmp_path):
    facts = files.run(settings, run, tmp_path / "tone", SYSTEM)
    made = {each.name for each in (tmp_path / "tone").iterdir()}
    assert {"model.safetensors", "model-f16.gguf", "model-q8_0.gguf", "Modelfile", "adapter"} < made
    adapter = tmp_path / "tone" / "adapter"
    assert {each.name for each in adapter.iterdir()} == {merge.CONFIG, merge.WEIGHTS}
    assert recorded(adapter) == "tiny"
    with torch.no_grad():
        same = [merge.merged(settings, each)(IDS).logits for each in (run, adapter)]
    assert torch.equal(*same)
    assert [part["what"] for part in facts["parts"]] == ["merged model", "GGUF, f16", "GGUF, q8_0", "adapter"]
    twice = files.run(settings, run, tmp_path / "my tone", SYSTEM, ("f16", "f16"))["parts"]
    assert [part["what"] for part in twice] == ["merged model", "GGUF, f16", "adapter"]
    for part in twice:
        assert str(tmp_path / "my tone") in " ".join(shlex.split(part["run"])[-1:]), part
    assert all(part["bytes"] > 0 for part in facts["parts"])
    said = shown(show.export, facts)
    assert "ollama create tone -f" in said
    assert "vllm serve tiny --enable-lora --max-lora-rank 8" in said


def test_a_fully_trained_model_has_no_adapter_to_export(settings, tmp_path):
    models.load_causal_lm("tiny", dtype="float32").save_pretrained(tmp_path / "run")
    facts = files.run(settings, tmp_path / "run", tmp_path / "tone", formats=["q8_0"])
    assert [part["what"] for part in facts["parts"]] == ["merged model", "GGUF, q8_0"]
    assert "adapter" not in shown(show.export, facts)


@pytest.mark.parametrize(
    ("options", "says"), [({"formats": ["q3"]}, "use f16, q8_0"), ({"system": 'say """'}, "take it out")]
)
def test_wrong_options_are_refused_before_work_begins(settings, run, tmp_path, options, says):
    with pytest.raises(UserError, match=says):
        files.run(settings, run, tmp_path / "tone", **options)
    assert not (tmp_path / "tone").exists()


def test_existing_files_stay(settings, run, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    for out in (tmp_path / "photos", tmp_path / "photos" / "cat.jpg"):
        with pytest.raises(UserError, match="exists already: name a new folder"):
            files.run(settings, run, out)
    with pytest.raises(UserError, match="tone cannot be written"):
        files.run(settings, run, tmp_path / "photos" / "cat.jpg" / "tone")
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "meow"


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("module", "name", "error"),
    [
        (merge.models, "load_tokenizer", SafetensorError("No space left on device")),
        (files.gguf, "add_tensors", FULL),
        (files.shutil, "copyfile", FULL),
        (files.shutil, "copyfile", KeyboardInterrupt("No space left on device")),
    ],
)
def test_an_error_while_writing_leaves_nothing(settings, run, tmp_path, monkeypatch, module, name, error):
    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr(module, name, fail)
    with pytest.raises((UserError, KeyboardInterrupt), match="No space left on device"):
        files.run(settings, run, tmp_path / "tone", formats=["q8_0"])
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


def test_the_modelfile_holds_file_template_system_and_stops():
    text = files.modelfile("model-f16.gguf", SYSTEM)
    assert text.startswith("FROM ./model-f16.gguf\n")
    assert f'SYSTEM """{SYSTEM}"""' in text
    assert re.findall(r'PARAMETER stop "(.*)"', text) == ["<|im_end|>", "<|im_start|>"]
    assert "SYSTEM" not in files.modelfile("model-f16.gguf")


def test_ollamas_template_equals_the_models_own():
    """Go's template, followed by hand: one block is repeated for each message."""
    before, block, after = re.fullmatch(
        r"(.*)\{\{- range \.Messages \}\}(.*)\{\{ end \}\}(.*)", files.OLLAMA_TEMPLATE, re.DOTALL
    ).groups()
    texts = {"system": SYSTEM, "user": "hi", "assistant": "ho"}
    turns = [{"role": role, "content": text} for role, text in texts.items()]
    written = before.rstrip()  # {{- eats the space before it
    for turn in turns:
        written += block.replace("{{ .Role }}", turn["role"]).replace("{{ .Content }}", turn["content"])
    tokenizer = models.load_tokenizer("tiny")
    own = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert written + after == own


def test_the_vllm_command_allows_the_rank(run):
    for r, room in ((4, 8), (16, 16), (33, 64)):
        change(run, r=r)
        assert f"--max-lora-rank {room} " in files.vllm_command(run)


def test_an_adapter_of_qlora_is_served_on_a_base_in_four_bits(run):
    assert " --quantization bitsandbytes " in files.vllm_command(run, in_4bit=True)
    assert "--quantization" not in files.vllm_command(run)

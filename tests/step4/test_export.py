"""What is handed on: files for each engine."""

import re
import shlex

import pytest
import torch
from safetensors import SafetensorError

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.cli import show
from step4_finetune.export import files
from step4_finetune.models import merge
from tests.step4.samples import shown
from tests.step4.test_merge import IDS, change, recorded, train

SYSTEM = "You answer for Northwind Care.\nKeep its tone."


@pytest.fixture
def settings():
    return load_settings(model="tiny", dtype="float32")


@pytest.fixture
def run(tmp_path):
    train(tmp_path / "run")
    return tmp_path / "run"


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
    change(run, r=1024)
    assert "its rank 1024 is above 512" in files.vllm_command(run)

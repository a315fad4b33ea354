"""What is handed on: files for each engine, the model card, and an upload that only happens when asked."""

import io
import json
import re
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from rich.console import Console

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.export import card, files
from step4_finetune.models import merge
from tests.step4.test_merge import IDS, change, recorded, train

SYSTEM = "You answer for Northwind Care.\nKeep its tone."
RESULTS = [
    {"name": "all rules kept", "value": 0.97, "low": 0.93, "high": 0.99, "n": 90, "base": 0.02},
    {"name": "leak", "value": 0.0},
]


@pytest.fixture
def settings():
    return load_settings(model="tiny", dtype="float32")


@pytest.fixture
def run(tmp_path):
    train(tmp_path / "run")
    (tmp_path / "run" / "optimizer.pt").write_bytes(b"pickle")
    return tmp_path / "run"


def shown(facts):
    console = Console(file=io.StringIO(), width=120, highlight=False, markup=False)
    files.show(facts, console)
    return console.file.getvalue()


# --- files ------------------------------------------------------------------------------------------------


def test_everything_is_written_and_said(settings, run, tmp_path):
    facts = files.run(settings, run, tmp_path / "tone", SYSTEM)
    made = {each.name for each in (tmp_path / "tone").iterdir()}
    assert {"model.safetensors", "model-f16.gguf", "model-q8_0.gguf", "Modelfile", "adapter"} < made
    assert [part["what"] for part in facts["parts"]] == ["merged model", "GGUF, f16", "GGUF, q8_0", "adapter"]
    assert all(part["bytes"] > 0 for part in facts["parts"])
    said = shown(facts)
    assert "ollama create tone -f" in said
    assert "vllm serve tiny --enable-lora --max-lora-rank 8" in said


def test_the_houses_own_engine_runs_the_export(settings, run, tmp_path):
    pytest.importorskip("xllamacpp", reason="pip install .[llamacpp]")
    from shared.embedded.on_llamacpp import LlamaCppEngine

    files.run(settings, run, tmp_path / "tone", formats=["f16"])
    engine = LlamaCppEngine.load(tmp_path / "tone", load_settings(model=str(tmp_path / "tone"), threads=1))
    assert "".join(engine.generate(engine.encode("<|im_start|>user\nhi<|im_end|>\n"), 5))


def test_a_fully_trained_model_has_no_adapter_to_hand_on(settings, tmp_path):
    models.load_causal_lm("tiny", dtype="float32").save_pretrained(tmp_path / "run")
    facts = files.run(settings, tmp_path / "run", tmp_path / "tone", formats=["q8_0"])
    assert [part["what"] for part in facts["parts"]] == ["merged model", "GGUF, q8_0"]
    assert facts["vllm"] is None
    assert "adapter" not in shown(facts)


def test_without_gguf_there_is_no_modelfile(settings, run, tmp_path):
    files.run(settings, run, tmp_path / "tone", formats=[])
    assert not list((tmp_path / "tone").glob("*.gguf"))
    assert not (tmp_path / "tone" / "Modelfile").exists()


@pytest.mark.parametrize(
    ("options", "says"), [({"formats": ["q3"]}, "use f16, q8_0"), ({"system": 'say """'}, "take it out")]
)
def test_what_can_not_be_written_is_said_before_work_begins(settings, run, tmp_path, options, says):
    with pytest.raises(UserError, match=says):
        files.run(settings, run, tmp_path / "tone", **options)
    assert not (tmp_path / "tone").exists()


# --- Ollama -----------------------------------------------------------------------------------------------


def test_the_modelfile_holds_file_template_system_and_stops():
    text = files.modelfile("model-f16.gguf", SYSTEM)
    assert text.startswith("FROM ./model-f16.gguf\n")
    assert f'SYSTEM """{SYSTEM}"""' in text
    assert re.findall(r'PARAMETER stop "(.*)"', text) == ["<|im_end|>", "<|im_start|>"]
    assert "SYSTEM" not in files.modelfile("model-f16.gguf")


def test_ollamas_template_writes_what_the_models_own_does():
    """Go's template, followed by hand: one block is repeated for each message."""
    before, block, after = re.fullmatch(
        r"(.*)\{\{- range \.Messages \}\}(.*)\{\{ end \}\}(.*)", files.OLLAMA_TEMPLATE, re.DOTALL
    ).groups()
    turns = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "and?"},
    ]
    written = before.rstrip()  # {{- eats the space before it
    for turn in turns:
        written += block.replace("{{ .Role }}", turn["role"]).replace("{{ .Content }}", turn["content"])
    tokenizer = models.load_tokenizer("tiny")
    own = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert written + after == own


# --- vLLM -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"modules_to_save": ["lm_head"]}, "whole modules (lm_head)"),
        ({"bias": "all"}, "biases"),
        ({"use_dora": True}, "DoRA"),
        ({"alpha_pattern": {"q_proj": 4}}, "different alphas"),
        ({"r": 1024}, "rank 1024"),
    ],
)
def test_what_vllm_does_not_load_is_named(run, values, says):
    change(run, **values)
    found = files.vllm(run)
    assert not found["loads"]
    assert says in found["why"]
    assert found["command"] is None


@pytest.mark.parametrize(("r", "room"), [(4, 8), (16, 16), (33, 64)])
def test_vllm_is_given_room_for_the_rank(run, r, room):
    change(run, r=r)
    found = files.vllm(run)
    assert found["loads"]
    assert f"--max-lora-rank {room} " in found["command"]


def test_the_adapter_is_handed_on_alone_and_names_its_base(settings, run, tmp_path):
    out = files.copy_adapter(settings, run, tmp_path / "adapter")
    assert {each.name for each in out.iterdir()} == {merge.CONFIG, merge.WEIGHTS}
    assert recorded(out) == "tiny"
    with torch.no_grad():
        same = [merge.merged(settings, each)(IDS).logits for each in (run, out)]
    assert torch.equal(*same)


# --- card and upload --------------------------------------------------------------------------------------


def test_the_card_holds_the_measured_results(run):
    settings = load_settings(model="smollm2-135m-instruct")
    facts = {"system": SYSTEM, "data": "Northwind Care", "recipe": "seed"}
    text = card.text(settings, "tone", RESULTS, facts)
    found = huggingface_hub.ModelCard.load(card.write(run, text))
    data = found.data.to_dict()
    assert data["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (data["library_name"], data["license"]) == ("peft", "apache-2.0")
    measured = {each.metric_name: each.metric_value for each in found.data.eval_results}
    assert measured == {"all rules kept": 0.97, "leak": 0.0}
    assert "| all rules kept | 0.020 | 0.970 | 0.930 to 0.990 | 90 |" in found.text
    assert "| leak |  | 0.000 |  |  |" in found.text
    assert "> Keep its tone." in found.text
    assert "- recipe: seed" in found.text


def test_a_card_without_results_says_so(run):
    text = card.text(load_settings(model="tiny"), "tone", [])
    assert "Not measured" in text
    assert "model-index" not in text
    huggingface_hub.ModelCard.load(card.write(run, text))


@pytest.fixture
def hub(monkeypatch):
    """The hub's API, replaced by a list of what it was asked."""
    asked = []

    class Api:
        def __init__(self, token):
            asked.append(("token", token))

        def create_repo(self, repo, **options):
            asked.append(("create", repo, options))

        def upload_folder(self, **options):
            asked.append(("upload", options))
            return SimpleNamespace(repo_url=None)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    return asked


def test_a_push_goes_to_a_private_repository_and_leaves_pickles_behind(hub, settings, run):
    card.write(run, card.text(settings, "tone", RESULTS))
    (run / "checkpoint-7").mkdir()
    (run / "checkpoint-7" / "adapter_model.safetensors").write_bytes(b"")
    (run / "training_args.bin").write_bytes(b"")
    assert card.push(settings, run, "me/tone") == "https://huggingface.co/me/tone"
    assert hub[:2] == [("token", "hf_secret"), ("create", "me/tone", {"private": True, "exist_ok": True})]
    asked = hub[2][1]
    names = [str(each.relative_to(run)) for each in run.rglob("*") if each.is_file()]
    sent = huggingface_hub.utils.filter_repo_objects(
        names, allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"]
    )
    assert set(sent) == {"README.md", merge.CONFIG, merge.WEIGHTS}


def test_a_push_without_token_card_or_name_is_refused(hub, settings, run, monkeypatch):
    with pytest.raises(UserError, match="has no model card"):
        card.push(settings, run, "me/tone")
    card.write(run, card.text(settings, "tone", RESULTS))
    with pytest.raises(UserError, match="owner/name"):
        card.push(settings, run, "tone")
    with pytest.raises(UserError, match="ROADMAP_HUB=false"):
        card.push(load_settings(model="tiny", hub=False), run, "me/tone")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(UserError, match="set HF_TOKEN"):
        card.push(settings, run, "me/tone")
    assert not hub


def test_a_hub_that_refuses_ends_in_one_line(hub, settings, run, monkeypatch):
    card.write(run, card.text(settings, "tone", RESULTS))

    def refuse(*_args, **_options):
        raise OSError("403 Forbidden:\nyou may not")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(UserError, match="403 Forbidden: you may not"):
        card.push(settings, run, "me/tone")


@pytest.mark.real
def test_real_export_of_a_real_adapter(tmp_path):
    settings = load_settings()
    train(tmp_path / "run", model=settings.model)
    facts = files.run(settings, tmp_path / "run", tmp_path / "tone", SYSTEM, formats=["q8_0"])
    megabytes = {part["what"]: part["bytes"] / 1e6 for part in facts["parts"]}
    assert 268 < megabytes["merged model"] < 280
    assert 140 < megabytes["GGUF, q8_0"] < 150
    assert megabytes["adapter"] < 5
    assert json.loads((tmp_path / "tone" / "config.json").read_text())["dtype"] == "bfloat16"
    assert "HuggingFaceTB/SmolLM2-135M-Instruct" in facts["vllm"]["command"]

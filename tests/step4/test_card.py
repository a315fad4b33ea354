"""The model card: what a run says of itself, and what of an evaluation belongs there; and the upload."""

import json

import huggingface_hub
import pytest

from shared.config import load_settings
from shared.errors import UserError
from step4_finetune.export import card
from step4_finetune.models import merge
from step4_finetune.train.folder import read_run
from step4_finetune.train.recipe import Recipe
from tests.step4.test_merge import train

RUN = {
    "recipe": Recipe.model_validate({"about": "a laptop's"}).model_dump(),
    "model": "tiny",
    "system": "You answer members of Northwind Care.\nKeep its tone.",
    "rows": 252,
    "seconds_in_all": 311.6,
    "peak_memory_mb": 1234,
    "versions": {"torch": "2.8.0", "trl": "0.24.0"},
}


@pytest.fixture
def settings():
    return load_settings(model="tiny", dtype="float32")


@pytest.fixture
def run(tmp_path):
    train(tmp_path / "tone")
    (tmp_path / "tone" / "run.json").write_text(json.dumps(RUN))
    return tmp_path / "tone"


def evaluation(path, names=("base", "tone"), **models):
    share = {"hits": 3, "n": 4, "share": 0.75, "interval": [0.3, 0.95]}
    systems = [
        {
            "name": name,
            "adherence": {"mean": 0.99, "interval": [0.4, 1.0]},
            **dict.fromkeys(("all_rules", "both"), share),
            **{"faithful": None, "healthy": None},
        }
        for name in names
    ]
    facts = {"systems": systems, "models": models, "split": "test", "company": "Northwind Care", "n": 4}
    path.write_text(json.dumps(facts))
    return path


def model(perplexity, leaked):
    return {"perplexity": perplexity, "asked": 40, "leaked": leaked, "answers": 20, "right": 9}


def test_the_command_fills_the_card(command, run, tmp_path):
    path = evaluation(tmp_path / "evaluate.json", base=model(10.0, 0), tone=model(11.0, 2))
    got = command("step4_finetune", "card", str(run), "--evaluation", str(path))  # the model is the run's
    assert got.code == 0, got
    text = (run / "README.md").read_text()
    for said in (
        "base_model: tiny\n",
        "| tone | 0.99 | 75% (30-95) | - | 75% (30-95) | - |",
        "| tone | 2 of 40 | 9 of 20 | 11.0 (1.10) |",
        "Northwind Care, test: 4 messages",
        "> You answer members of Northwind Care.\n> Keep its tone.",
        "rows: 252\n",
        "peak_memory_mb: 1234\n",
        "  trl: 0.24.0\n",
        "about: a laptop's",
    ):
        assert said in text
    assert str(tmp_path) not in text
    data = huggingface_hub.ModelCard.load(run / "README.md").data.to_dict()
    assert (data["library_name"], data["model_name"]) == ("peft", "tone")


def test_an_activated_adapter_also_as_merged(tmp_path):
    models = {"a/tone": model(10.0, 0), "a/tone, merged": model(12.0, 30), "b/tone": model(9.0, 0)}
    path = evaluation(tmp_path / "evaluate.json", names=("a/tone", "b/tone"), **models)
    found = card.read_evaluation(path, tmp_path / "a" / "tone")
    assert [each["name"] for each in found["systems"]] == ["a/tone"]
    assert list(found["models"]) == ["a/tone", "a/tone, merged"]


def test_a_card_without_a_run_or_results_says_so(settings, run):
    (run / "run.json").unlink()
    text = card.text(settings, run)
    assert "Not measured" in text
    assert "unknown" in text


@pytest.mark.parametrize(
    ("text", "says"), [("{", r"run\.json .* cannot be read"), ("[]", r"run\.json is not a JSON object")]
)
def test_a_run_that_was_cut_is_one_line(tmp_path, text, says):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=says):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"systems": [], "models": {}, "split": "dev"}'])
def test_what_is_no_evaluation_is_one_line(tmp_path, text):
    (tmp_path / "evaluate.json").write_text(text)
    with pytest.raises(UserError, match=r"holds no evaluation of tone: `evaluate --adapter"):
        card.read_evaluation(tmp_path / "evaluate.json", tmp_path / "tone")


# --- the upload -------------------------------------------------------------------------------------------


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

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    return asked


def test_a_push_goes_to_a_private_repository_and_leaves_pickles_behind(hub, settings, run):
    card.write(run, card.text(settings, run))
    (run / "checkpoint-7").mkdir()
    (run / "checkpoint-7" / "adapter_model.safetensors").write_bytes(b"")
    (run / "optimizer.pt").write_bytes(b"")
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
    card.write(run, card.text(settings, run))
    with pytest.raises(UserError, match="owner/name"):
        card.push(settings, run, "tone")
    with pytest.raises(UserError, match="ROADMAP_HUB=false"):
        card.push(load_settings(model="tiny", hub=False), run, "me/tone")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(UserError, match="set HF_TOKEN"):
        card.push(settings, run, "me/tone")
    assert not hub


def test_a_hub_that_refuses_ends_in_one_line(hub, settings, run, monkeypatch):
    card.write(run, card.text(settings, run))

    def refuse(*_args, **_options):
        raise OSError("403 Forbidden:\nyou may not")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(UserError, match="403 Forbidden: you may not"):
        card.push(settings, run, "me/tone")

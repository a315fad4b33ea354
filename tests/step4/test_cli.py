"""The commands: that each runs, what it prints for people and for programs, and what it refuses."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import typer

from step4_finetune import chat
from step4_finetune.cli.app import app
from step4_finetune.models.generate import Reply
from step4_finetune.train import preflight
from tests.conftest import ROOT
from tests.step4 import runs

COMMANDS = typer.main.get_command(app).commands
GUIDE = """\
company: Harbour Books
system: You answer readers of Harbour Books.
rules:
  - {id: ahoy, say: 'Start with "Ahoy reader,".', starts_with: "Ahoy reader,"}
  - {id: bye, say: 'End with "Fair winds, Harbour Books".', ends_with: "Fair winds, Harbour Books"}
  - {id: short, say: Write at most three sentences., sentences: {max: 3}}
"""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("runs") / "tone"
    runs.train(out, runs.recipe(epochs=1), picture=True)
    return out


@pytest.fixture
def finetune(command):
    return lambda *args: command("step4_finetune", *map(str, args))


@pytest.fixture
def bad(refused):
    return lambda *args: refused("step4_finetune", *map(str, args))


@pytest.mark.parametrize(
    "line",
    [
        "train --out new --seed 3",
        "evaluate --adapter TUNED --baselines base",
        "chat hello --adapter . --adapter TUNED",
        "export TUNED --out exported --gguf f16 --model tiny",
        "lora",
        "dpo --pairs 2 --steps 1",
        "evaluator",
    ],
)
def test_every_command_runs_on_the_tiny_model_and_gives_facts(finetune, tuned, tmp_path, monkeypatch, line):
    for name in ("tone", "base"):
        shutil.copytree(tuned, tmp_path / name)
    if line.startswith("chat"):
        monkeypatch.chdir("base")
    args = line.replace("TUNED", str(tmp_path / "tone")).split()
    smoke = ["--smoke"] if any(each.name == "smoke" for each in COMMANDS[args[0]].params) else []
    got = finetune(*args, *smoke, "--json")
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert facts["command"].startswith("step4_finetune ")
    assert facts["headline"]
    assert "\n" not in facts["headline"]
    if args[0] == "chat":
        assert list(facts["replies"]) == ["base", f"{tmp_path.name}/base", "tone"]
    if args[0] == "train":
        assert json.loads(Path("new/run.json").read_text())["recipe"]["seed"] == 3
        assert got.err.startswith("system message: You answer members of Northwind Care.\n")
        assert "on 2 rows" in finetune(*args, *smoke, "--fresh", "--limit", "2").out


@pytest.mark.parametrize(
    ("task", "file"), [("tools", "adapter_model.safetensors"), ("reader", "reader.safetensors")]
)
def test_the_data_of_other_tasks_are_built_and_trained_on(finetune, task, file):
    assert finetune("data", "build", task, "--out", "data", "--smoke").code == 0
    got = finetune(
        "train", "--recipe", task, "--data", "data/train.jsonl", "--out", "run", "--smoke", "--json"
    )
    assert (got.code, json.loads(got.out)["rows"]) == (0, 4)
    assert Path("run", file).is_file()


def test_chat_gives_the_notes_with_the_message(finetune, monkeypatch):
    asked = []

    def replies(_model, _tokenizer, prompts):
        asked.extend(prompts)
        return [Reply("It is 5.", 10, 3, True)]

    monkeypatch.setattr(chat, "replies", replies)
    got = finetune("chat", "How much?", "--note", "price: 5", "--note", "ask: none", "--smoke")
    assert got.code == 0, got
    assert asked[0][-1]["content"] == "How much?\n\nNotes:\n- price: 5\n- ask: none"


def others(path):
    """Rows of another company in TRL's conversational format, without notes, topics or splits."""
    rows = []
    for number in range(40):
        prompt = f"Is the book number {number} about {['whales', 'ice', 'knots', 'tides'][number % 4]} there?"
        chosen = f"Ahoy reader, book {number} lies on the shelf for you. Fair winds, Harbour Books"
        said = {"chosen": chosen, "rejected": f"Yeah, book {number} is there."}
        row = {name: [{"role": "assistant", "content": text}] for name, text in said.items()}
        rows.append({"prompt": [{"role": "user", "content": prompt}], **row})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_another_guide_and_data_go_all_the_way(finetune, tmp_path):
    data, guide = others(tmp_path / "mine.jsonl"), tmp_path / "mine.yaml"
    guide.write_text(GUIDE)
    own = ("--data", data, "--guide", guide, "--smoke", "--json")
    checked = finetune("data", "check", *own)
    assert checked.code in (0, 1), checked
    assert json.loads(checked.out)["rows"] == 40
    for method, start in (("sft", ()), ("dpo", ("--from", "sft")), ("grpo", ("--from", "sft"))):
        trained = finetune("train", "--method", method, *start, "--out", method, *own)
        assert trained.code == 0, trained
        assert json.loads(trained.out)["rows"] == 4
    got = finetune("evaluate", "--adapter", "dpo", "--baselines", "few-shot", *own)
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert facts["company"] == "Harbour Books"
    assert [each["faithful"] for each in facts["systems"]] == [None] * 2
    assert set(facts["systems"][0]["rules"]) == {"ahoy", "bye", "short"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "has no rows"),
        ([{"split": "test"}], "no rows in the split train"),
        ([{"split": "train"}], "no row has a rejected reply, which DPO"),
    ],
)
def test_data_without_training_rows_are_refused(bad, tmp_path, data, says):
    rows = [{"prompt": "a", "completion": "b", **row} for row in data]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.yaml").write_text(GUIDE)
    own = ("--data", "mine.jsonl", "--guide", "mine.yaml")
    assert says in bad("train", "--smoke", "--out", "run", "--recipe", "dpo", *own)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("train --out run --recipe nowhere", "there is no recipe nowhere: use"),
        ("train --out run --recipe tools --method dpo", "task tools trains by sft, without lora.activated"),
        ("train --out run --recipe activated-reader.yaml", "reader trains by sft, without lora.activated"),
        ("train --out run --seed -1", "is not allowed: use a whole number from 0"),
        ("train --out run --seed 99999999999", "error: --seed is 99999999999: should be less than"),
        ("train --out run --data nowhere.jsonl --guide nowhere.yaml", "there is no file nowhere.jsonl"),
        ("train --out run --data mine.jsonl", "mine.jsonl needs the guide of its tone: name it with --guide"),
        ("train --out run --recipe gpu", "GPU recipe on a CPU: gpu would take days here"),
        ("train --out run --recipe reader --guide x.yaml", "trains by sft, without lora.activated, --guide"),
        ("train --out run --recipe reader --from x", "without lora.activated, --guide and --from"),
        ("lora --r 0", "'--r': Input should be greater than or equal to 1"),
        ("lora --r 100000000", "error: --r 100000000 is too large for q_proj, "),
        ("guard", "guard takes a text, with --note and"),
        ("guard zzz --measure", "guard takes a text, with --note and"),
        ("guard --measure --adapter nowhere", "if you like, or --measure alone"),
        ("guard --measure --note x", "if you like, or --measure alone"),
        ("evaluate --baselines guess --out file/x", "cannot write file/x/evaluate.json: "),  # before any work
        ("evaluate --adapter nowhere", "there is no run in nowhere: `python -m step4_finetune train"),
    ],
)
def test_wrong_flags_are_refused(bad, tmp_path, line, says):
    Path("file").touch()
    Path("activated-reader.yaml").write_text("task: reader\nlora: {activated: true}\n")
    assert says in bad(*line.split(), "--smoke")
    assert not (tmp_path / "run").exists()


def test_a_reporter_that_is_not_installed_names_its_extra(bad, monkeypatch):
    monkeypatch.setattr(preflight, "find_spec", lambda _name: None)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    line = bad("train", "--smoke", "--out", "run", "--report-to", "wandb")
    assert "--report-to wandb needs wandb: pip install .[wandb]" in line
    assert "wandb" in extras

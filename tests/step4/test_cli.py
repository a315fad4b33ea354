"""The commands: that each runs, what it prints for people and for programs, and what it refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import typer

from step4_finetune import chat
from step4_finetune.cli.app import app
from step4_finetune.data.rows import GUIDE as SAMPLE_GUIDE
from step4_finetune.models.generate import Reply
from step4_finetune.train import preflight
from tests.conftest import ROOT
from tests.step4 import runs
from tests.step4.made import as_file, good

OWN = ("--data", "mine.jsonl", "--guide", str(SAMPLE_GUIDE))
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
def tuned(tmp_path_factory, tiny_cache):
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("runs") / "tone"
    with runs.on_tiny(tiny_cache):
        runs.train(out, runs.recipe(epochs=1), picture=True)
    return out


@pytest.fixture
def finetune(command):
    return lambda *args: command("step4_finetune", *map(str, args))


@pytest.fixture
def bad(refused):
    return lambda *args: refused("step4_finetune", *map(str, args))


# --- every command, on the tiny model ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "train --out new --seed 3",
        "evaluate --adapter TUNED --baselines base",
        "chat hello --adapter TUNED --max-new-tokens 4",
        "export TUNED --out exported --gguf f16 --model tiny",
        "lora",
        "dpo --pairs 2 --steps 1",
        "evaluator",
    ],
)
def test_every_command_runs_on_the_tiny_model_and_gives_facts(finetune, tuned, tmp_path, line):
    shutil.copytree(tuned, tmp_path / "tone")
    args = line.replace("TUNED", str(tmp_path / "tone")).split()
    smoke = ["--smoke"] if any(each.name == "smoke" for each in COMMANDS[args[0]].params) else []
    got = finetune(*args, *smoke, "--json")
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert facts["command"].startswith("step4_finetune ")
    assert facts["headline"]
    assert "\n" not in facts["headline"]
    if args[0] == "chat":
        assert list(facts["answered"][0]["replies"]) == ["base", "tone"]
    if args[0] == "train":
        assert json.loads(Path("new/run.json").read_text())["recipe"]["seed"] == 3
        assert got.err.startswith("system message: You answer members of Northwind Care.\n")
        again = finetune(*args, *smoke)
        assert "finished run: name another --out, or take --fresh" in again.err
        assert "on 2 rows" in finetune(*args, *smoke, "--fresh", "--limit", "2").out


def test_chat_gives_the_notes_with_each_message(finetune, monkeypatch):
    asked = []

    def replies(_model, _tokenizer, prompts, _limit):
        asked.extend(prompts)
        return [Reply("It is 5.", 10, 3, True)]

    monkeypatch.setattr(chat, "replies", replies)
    got = finetune("chat", "How much?", "And now?", "--note", "price: 5", "--note", "ask: none", "--smoke")
    assert got.code == 0, got
    notes = "\n\nNotes:\n- price: 5\n- ask: none"
    assert [prompt[-1]["content"] for prompt in asked] == [f"How much?{notes}", f"And now?{notes}"]


def test_chat_shows_runs_of_the_same_name_and_the_folder_that_it_runs_in(
    finetune, tuned, tmp_path, monkeypatch
):
    for name in ("a", "b"):
        shutil.copytree(tuned, tmp_path / name / "base")
    monkeypatch.chdir(tmp_path / "a" / "base")
    got = finetune(
        "chat",
        "hi",
        "--adapter",
        ".",
        "--adapter",
        "../../b/base",
        "--max-new-tokens",
        1,
        "--smoke",
        "--json",
    )
    assert list(json.loads(got.out)["answered"][0]["replies"]) == ["base", "a/base", "b/base"]


# --- another company --------------------------------------------------------------------------------------


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


# --- bad input: one line, exit code 2, nothing lost -------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "guide", "says"),
    [
        ("", GUIDE, "has no rows"),
        ('{"prompt": "a", "completion": "b", "split": "test"}\n', GUIDE, "no rows in the split train"),
        (
            '{"prompt": "a", "completion": "b", "split": "train"}\n',
            GUIDE,
            "no row has a rejected reply, which DPO",
        ),
        ('{"prompt": "a", "completion": "b", "split": "train"}\n', "company: X\nrules: []\n", "has no rules"),
    ],
)
def test_data_and_guides_without_training_rows_are_refused(bad, tmp_path, data, guide, says):
    (tmp_path / "mine.jsonl").write_text(data)
    (tmp_path / "mine.yaml").write_text(guide)
    own = ("--smoke", "--guide", "mine.yaml")
    assert says in bad("train", "--out", "run", "--method", "dpo", "--data", "mine.jsonl", *own)
    if guide != GUIDE:
        assert says in bad("evaluate", *own)
        assert says in bad("chat", "hi", *own)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("train --out run --recipe nowhere", "there is no recipe nowhere: use"),
        ("train --out run --method sft+dpo", "'sft+dpo' is not one of 'sft', 'dpo', 'grpo'"),
        ("train --out run --limit 0", "--limit"),
        ("train --out run --seed -1", "is not allowed: use a whole number from 0"),
        ("train --out run --seed 99999999999", "error: --seed is 99999999999: should be less than"),
        ("train --out run --data nowhere.jsonl --guide nowhere.yaml", "there is no file nowhere.jsonl"),
        ("train --out run --data mine.jsonl", "mine.jsonl needs the guide of its tone: name it with --guide"),
        ("train --out run --recipe gpu", "GPU recipe on a CPU: gpu would take days here"),
        ("train --out run --device cuda", "device cuda is not on this machine"),
        (
            "train --out run --recipe tools --method dpo",
            "task tools trains by sft, without --guide and --from",
        ),
        ("train --out run --recipe judge --guide x.yaml", "task judge trains by sft, without --guide"),
        ("train --out run --recipe judge --from x", "task judge trains by sft, without --guide and --from"),
        ("guard --measure --adapter nowhere", "guard --measure takes no text, --note or --adapter"),
        ("guard --measure --note x", "guard --measure takes no text, --note or --adapter"),
        ("evaluate --adapter nowhere", "there is no run in nowhere: `python -m step4_finetune train"),
    ],
)
def test_wrong_flags_are_refused(bad, tmp_path, line, says):
    assert says in bad(*line.split(), "--smoke")
    assert not (tmp_path / "run").exists()


def test_a_reporter_that_is_not_installed_names_its_extra(bad, monkeypatch):
    monkeypatch.setattr(preflight, "find_spec", lambda _name: None)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name in ("wandb", "tensorboard"):
        line = bad("train", "--smoke", "--out", "run", "--report-to", name)
        assert f"--report-to {name} needs {name}: pip install .[{name}]" in line
        assert name in extras


# --- Ctrl-C -----------------------------------------------------------------------------------------------


@pytest.mark.real  # no weights, but a process of its own
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a child there")
def test_ctrl_c_keeps_a_checkpoint_says_how_to_resume_and_resumes(tmp_path):
    as_file(tmp_path / "mine.jsonl", good())
    (tmp_path / "long.yaml").write_text(
        "lora: {last_layers: 1}\nmax_length: 2048\nsft: {epochs: 500, batch_size: 4, replay: 0}\n"
    )
    line = [sys.executable, "-m", "step4_finetune", "train", "--model", "tiny", "--recipe", "long.yaml"]
    line += [*OWN, "--out", "run", "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])}
    child = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "log.jsonl"
    end = time.monotonic() + 120
    checkpoints = tmp_path / "run" / "checkpoints" / "sft"
    while child.poll() is None and time.monotonic() < end and not list(checkpoints.glob("checkpoint-*")):
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    said = err.splitlines()
    assert said[-1] == "stopped"
    assert any(
        "of 1000 of sft, with a checkpoint in" in each and "same command continues" in each for each in said
    )
    checkpoint = max(checkpoints.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
    assert (checkpoint / "trainer_state.json").exists()
    steps = sum('"loss"' in each for each in log.read_text().splitlines())  # not those of the dev rows
    assert json.loads((checkpoint / "trainer_state.json").read_text())["global_step"] == steps

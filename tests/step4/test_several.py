"""Several processes: two really run, learn what one learns from the same batches, and one writes."""

import json
import os
import subprocess
import sys

import pytest

from step4_finetune.train import distributed
from tests.conftest import ROOT

RECIPE = """\
method: sft+dpo
lora: {{last_layers: 1}}
sft: {{epochs: 2, batch_size: {batch}, learning_rate: 5.0e-3, warmup_steps: 0, replay: 0, least_steps: 9}}
dpo: {{epochs: 1, batch_size: {batch}, learning_rate: 1.0e-3, warmup_steps: 0}}
max_length: 2048
"""


def train(folder, processes):
    """The facts and the losses of a run of twelve rows, four in a step."""
    (folder / "mine.yaml").write_text(RECIPE.format(batch=4 // processes))
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        str(processes),
        "--master_addr",
        "127.0.0.1",
    ]
    line = [
        *(sys.executable, *(torchrun if processes > 1 else ()), "-m", "step4_finetune", "train"),
        *("--recipe", folder / "mine.yaml", "--out", folder / str(processes), "--limit", "12", "--json"),
        *("--model", "tiny", "--dtype", "float32", "--threads", "1"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_PORT": "0"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    got = subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    assert got.returncode == 0, got.stderr
    log = (folder / str(processes) / "log.jsonl").read_text().splitlines()
    return json.loads(got.stdout), [(row["stage"], row["step"], row["loss"]) for row in map(json.loads, log)]


@pytest.mark.real  # no weights, but three processes that import everything
def test_two_processes_learn_what_one_does_and_one_of_them_writes(tmp_path):
    one, expected = train(tmp_path, 1)
    two, found = train(tmp_path, 2)
    assert (one["processes"], two["processes"]) == (1, 2)  # and stdout held one JSON
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected], abs=0.01)
    assert {path.name for path in (tmp_path / "2").iterdir()} == {
        path.name for path in (tmp_path / "1").iterdir()
    }


def test_alone_nothing_is_waited_for(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    with distributed.together(), distributed.main_first():
        distributed.wait()
    assert distributed.is_main()
    assert distributed.count() == 1
    assert not distributed.is_sharded()


def test_what_torchrun_and_accelerate_say(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert (distributed.count(), distributed.is_main(), distributed.is_sharded()) == (2, False, True)

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from shared import hardware
from shared.models import load_causal_lm
from step1_foundations import bench
from step1_foundations.generate import Generation
from tests.conftest import ROOT
from tests.lessons import examples, tidy


def test_pairs_are_interleaved_and_take_turns():
    order = []
    seconds = bench.pairs(lambda: order.append("a") or [], lambda: order.append("b") or [], 4)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab" + "ba"
    assert [len(each) for each in seconds] == [4, 4]


def test_ctrl_c_ends_the_whole_benchmark(monkeypatch):
    """The loop itself keeps what it wrote; a pair with a cut-short run must not be counted."""
    monkeypatch.setattr(bench, "generate", lambda *args, **kwargs: Generation([1], "interrupt"))
    with pytest.raises(KeyboardInterrupt):
        bench.by_hand(load_causal_lm("tiny"), torch.tensor([[5]]))


def test_agreement_counts_up_to_the_first_difference():
    assert bench._agreement([1, 2, 3], [1, 2, 4]) == 2
    assert bench._agreement([1, 2], [1, 2]) == 2


def test_bench_reports_ratios_with_min_median_and_max(command):
    facts = json.loads(command("step1_foundations", "bench", "--smoke", "--json").out)
    for name in ("hand_loop_speedup", "int8_share_of_default_time", "generate_seconds", "hand_loop_seconds"):
        assert 0 < facts[name]["min"] <= facts[name]["median"] <= facts[name]["max"]
    assert (facts["input_tokens"], facts["pairs"]) == (200, 5)
    assert facts["int8_logit_cosine"] > 0.99


def test_fewer_than_five_pairs_are_refused(refused):
    assert "use 5 or more" in refused("step1_foundations", "bench", "--smoke", "--pairs", "4")


def test_peak_memory_is_that_of_this_process_and_not_of_the_one_that_started_it():
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])  # held, not only asked for
    assert hardware.peak_memory_mb() > 400
    code = "from shared import hardware; print(hardware.peak_memory_mb())"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 5 < float(told.stdout) < 300
    del ballast


@pytest.mark.real
def test_the_bench_of_the_lesson_runs_and_its_claims_hold_with_room_for_a_busy_machine(tmp_path, monkeypatch):
    """The claims themselves (never slower; at most 0.7) are measured on quiet cores, with more pairs."""
    lesson = ROOT / "step1_foundations" / "README.md"
    there = next(each for each in examples(lesson.read_text(encoding="utf-8")) if "bench" in each.words)
    monkeypatch.setenv("ROADMAP_REPORTS_DIR", str(tmp_path))
    got = replace(there, command=f"{there.command} --pairs 5").run(tmp_path)
    assert got.returncode == 0, got.stderr
    assert len(tidy(got.stdout).splitlines()) == len(there.output.splitlines())
    facts = json.loads((tmp_path / "step1_foundations" / "bench.json").read_text())["facts"]
    assert facts["output_tokens"] == 80
    assert facts["hand_loop_speedup"]["median"] > 0.9
    assert facts["peak_memory_mb"] < 1500
    if hardware.bf16_feature():
        assert facts["int8_share_of_default_time"]["median"] < 0.85

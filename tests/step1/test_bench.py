import json
import subprocess
import sys

import pytest
import torch

from shared import hardware
from shared.models import load_causal_lm
from step1_foundations import bench
from step1_foundations.generate import Generation
from tests.conftest import ROOT


def test_pairs_are_interleaved_and_take_turns():
    order = []
    *_, ratio = bench.time_pairs(lambda: order.append("a"), lambda: order.append("b"), 4)
    assert "".join(order) == "ab" + "ba" + "ab" + "ba"
    assert ratio.min <= ratio.median <= ratio.max


def test_ctrl_c_ends_the_whole_benchmark(monkeypatch):
    """The loop itself keeps what it wrote; a pair with a cut-short run must not be counted."""
    monkeypatch.setattr(bench, "generate", lambda *args, **kwargs: Generation([1], "interrupt"))
    with pytest.raises(KeyboardInterrupt):
        bench.generate_by_hand(load_causal_lm("tiny"), torch.tensor([[5]]))


def test_bench_reports_ratios_and_bounds(command, monkeypatch):
    monkeypatch.setattr(bench, "NEW_TOKENS", 16)
    facts = json.loads(command("step1_foundations", "bench", "--smoke", "--json").out)
    for kind in ("loops", "int8"):
        for spread in (facts[kind][name] for name in ("first", "second", "ratio")):
            assert 0 < spread["min"] <= spread["median"] <= spread["max"]
        assert all(bound > 0 for bound in facts[kind]["memory_allows"])
    assert facts["loops"]["same_tokens"] == facts["output_tokens"]


def test_peak_memory_is_that_of_this_process_and_not_of_the_one_that_started_it():
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])  # held, not only asked for
    assert hardware.peak_memory_mb() > 400
    code = "from shared import hardware; print(hardware.peak_memory_mb())"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 5 < float(result.stdout) < 300
    del ballast


@pytest.mark.real
def test_generate_takes_little_more_memory_than_the_weights():
    """At most 1.2 times the weights, without Python and its libraries, which the tiny model loads first."""
    code = """
from shared import hardware, models
from step1_foundations.generate import generate
from step1_foundations.bench import megabytes, read_weights
from step1_foundations.support.text import encode
def run(*name):
    model = models.load_causal_lm(*name)
    generate(model, encode(models.load_tokenizer(*name), "Explain what a transformer is:"), 20)
    return model
run("tiny")
before = hardware.peak_memory_mb()
model = run()
print(model.dtype.itemsize, (hardware.peak_memory_mb() - before) / megabytes(read_weights(model)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    item_size, per_weight = map(float, result.stdout.split())
    # float32 is made of the bfloat16 file, half as large, which stays mapped.
    assert per_weight < (1.7 if item_size == 4 else 1.2)

import json
import subprocess
import sys
from unittest.mock import Mock

import pytest
import torch

from shared import models
from step1_foundations.bench import megabytes, read_weights
from step1_foundations.generate import generate, stop_ids_of
from step1_foundations.int8 import Int8Linear, quantize_int8
from step1_foundations.sampling import Sampling
from step1_foundations.support.text import encode


@pytest.fixture(scope="module")
def tiny():
    return models.load_tokenizer("tiny"), models.load_causal_lm("tiny", dtype="float32")


def library(model, ids, n, **kwargs):
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=n, **kwargs
    )
    return out[0, ids.shape[1] :].tolist()


def by_hand(model, ids, n, sampling=Sampling()):  # noqa: B008
    stop = stop_ids_of(model)
    done = generate(model, ids, n, sampling, stop)
    return done.ids if done.stop_id is None else [*done.ids, done.stop_id]


@pytest.mark.parametrize("prompt", ["What is the weather in Bangkok?", "Ünïcödé 猫\n    "])
def test_greedy_is_token_for_token_that_of_model_generate(tiny, prompt):
    tokenizer, model = tiny
    ids = encode(tokenizer, prompt)
    assert by_hand(model, ids, 60) == library(model, ids, 60)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_repetition_penalty_is_that_of_model_generate(tiny, dtype):
    tokenizer, model = tiny[0], models.load_causal_lm("tiny", dtype=dtype)
    ids = encode(tokenizer, "Hello world hello world")
    penalized = by_hand(model, ids, 40, Sampling(repetition_penalty=1.3))
    assert penalized == library(model, ids, 40, repetition_penalty=1.3)
    assert penalized != by_hand(model, ids, 40)


def test_it_stops_at_end_of_turn(tiny):
    tokenizer, model = tiny
    ids = encode(tokenizer, "Hello")
    third = generate(model, ids, 5).ids[2]
    done = generate(model, ids, 5, stop_ids=frozenset([third]))
    assert (len(done.ids), done.stop_reason) == (2, "stop")
    assert generate(model, ids, 5).stop_reason == "length"


def test_sampling_is_the_same_for_the_same_seed(tiny):
    tokenizer, model = tiny
    ids = encode(tokenizer, "Hello")

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return generate(model, ids, 20, Sampling(temperature=1), generator=generator).ids

    one = draw(1)
    again = draw(1)
    other = draw(2)
    assert one == again != other


def test_int8_keeps_the_logits_nearly_and_halves_the_bytes(tiny):
    tokenizer, _ = tiny
    model = models.load_causal_lm("tiny", dtype="bfloat16")
    ids = encode(tokenizer, "What is the weather in Bangkok today?")
    with torch.inference_mode():
        before = model(ids).logits.float()
        size = megabytes(read_weights(model))
        quantize_int8(model)
        many = model(ids).logits.float()
        few = torch.cat([model(ids[:, : i + 1]).logits[:, -1:] for i in range(4)], dim=1).float()
    assert torch.nn.functional.cosine_similarity(before, many, dim=-1).min() > 0.99
    torch.testing.assert_close(few, many[:, :4], atol=0.2, rtol=0.1)  # both kernels compute the same
    assert megabytes(read_weights(model)) < 0.6 * size
    assert isinstance(model.lm_head, Int8Linear)


def test_int8_rounds_each_weight_by_at_most_half_a_step():
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 8, bias=False)
    small = Int8Linear(linear)
    weight = linear.weight.detach()
    step = small.scale.float()[:, None]  # the one that is kept, in bf16
    error = (small.weight_int8 * step - weight).abs()
    assert bool((error <= step * 0.75).all())  # half a step; the largest of a row may be clipped a little
    assert float(error.mean()) < 0.3 * float(step.mean())


def test_the_memory_bound_is_measured_without_a_copy_of_the_weights():
    """A second buffer of the size of the weights once killed runs of large models after their answer."""
    script = """
import torch
from shared import hardware
from step1_foundations.bench import megabytes, seconds_to_read
weights = [torch.ones(100_000_001, dtype=torch.int8), torch.ones(1000, 10_000)]
torch.ones(8).view(torch.bfloat16).sum()
before = hardware.peak_memory_mb()
print(seconds_to_read(weights), megabytes(weights), hardware.peak_memory_mb() - before)
"""
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, size, grown = map(float, got.stdout.split())
    assert seconds > 0
    assert size == pytest.approx(140, abs=0.1)
    assert grown < 20


def test_the_page_of_the_roadmap_runs(monkeypatch, capsys):
    from step1_foundations import minimal

    monkeypatch.setenv("ROADMAP_MODEL", "tiny")
    minimal.main()
    assert capsys.readouterr().out.startswith("Explain what a transformer is:")


def test_the_command_prints_text_and_counts_or_json(command):
    def facts_of(*args):
        return json.loads(command("step1_foundations", *args, "--smoke", "--json").out)

    shown = command("step1_foundations", "generate", "Hello", "--smoke", "--max-new-tokens", "5").out
    assert "5 out" in shown
    assert "that memory allows" in shown
    facts = facts_of("--max-new-tokens", "5")  # `generate` is the default command
    assert (facts["command"], facts["output_tokens"]) == ("step1_foundations generate", 5)
    assert facts["memory_bound_tokens_per_second"] > 0
    chat = facts_of("Say hello", "--chat", "--max-new-tokens", "1")
    raw = facts_of("Say hello", "--raw", "--max-new-tokens", "1")
    assert raw["input_tokens"] < chat["input_tokens"]  # no chat template around it
    assert (raw["headline"], raw["decode_tokens_per_second"]) == ("1 token", None)  # it came from the prefill
    assert "decode" not in command("step1_foundations", "Hi", "--smoke", "--max-new-tokens", "1").out
    facts = facts_of("x" * 2040, "--raw", "--max-new-tokens", "3000")
    assert facts["input_tokens"] + facts["output_tokens"] <= 2048  # it ends where the context ends


def test_ctrl_c_keeps_the_text_and_ends_cleanly(command, monkeypatch):
    pressed = Mock(side_effect=[41, 42, 43, KeyboardInterrupt])
    monkeypatch.setattr("step1_foundations.generate.choose", pressed)
    got = command("step1_foundations", "Hello", "--smoke")
    assert (got.code, got.err) == (130, "\nstopped\n")
    assert got.out.startswith(models.load_tokenizer("tiny").decode([41, 42, 43]))
    assert "stopped by Ctrl-C" in got.out


@pytest.mark.real
def test_in_int8_the_real_model_still_answers():
    tokenizer, model = models.load_tokenizer(), models.load_causal_lm()
    quantize_int8(model)
    ids = encode(tokenizer, "What is the capital of France?", chat=True)
    assert "Paris" in tokenizer.decode(by_hand(model, ids, 20))

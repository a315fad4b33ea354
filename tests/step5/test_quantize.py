"""Fewer bits: what each format holds, writes and loses, on the tiny model."""

import importlib.util
import json

import pytest
import torch

from shared import hardware
from step5_serving.bench import quantize
from step5_serving.engines.batching import linear

TEXT = list(range(5, 60))


@pytest.fixture(scope="module")
def reference(tiny_settings):
    return quantize.load("fp32", tiny_settings)


@pytest.mark.skipif(
    not {"avx512_vnni", "avx_vnni", "asimddp"} & hardware.cpu_flags(),
    reason="without VNNI, PyTorch's eight-bit product saturates on this processor",
)
def test_int8_products_are_close_and_no_row_depends_on_another():
    torch.manual_seed(0)
    weight, x = torch.randn(96, 64), torch.randn(20, 64) * 10
    x[3] *= 1000  # an outlier: with one scale for all rows, the others would vanish
    product = linear.int8(weight)
    exact = x @ weight.T
    error = (product(x) - exact).norm(dim=1) / exact.norm(dim=1)
    assert error.max() < 0.02
    for n in (1, 2, 7, 19):
        assert torch.equal(product(x[:n]), product(x)[:n])


def test_the_reference_has_the_perplexity_and_the_size_that_transformers_gives(reference):
    ids = torch.tensor([TEXT])
    with torch.inference_mode():
        loss = reference(input_ids=ids, labels=ids).loss
    assert quantize.perplexity(reference, TEXT) == pytest.approx(float(loss.exp()), rel=1e-5)
    parameters = sum(each.numel() for each in reference.parameters())  # tied ones once
    assert quantize.weight_bytes(reference) == pytest.approx(4 * parameters, rel=0.01)


@pytest.mark.parametrize("way", ["bf16", "int8", "bnb int8", "nf4"])
def test_fewer_bits_take_less_memory_and_stay_near(way, tiny_settings, reference):
    if way in quantize.BITSANDBYTES and not importlib.util.find_spec("bitsandbytes"):
        pytest.skip("pip install .[bitsandbytes]")
    model = quantize.load(way, tiny_settings)
    assert quantize.weight_bytes(model) < 0.8 * quantize.weight_bytes(reference)
    assert quantize.perplexity(model, TEXT) == pytest.approx(quantize.perplexity(reference, TEXT), rel=0.6)
    _, [answer] = quantize.answer_all(model, [TEXT], 5, [0])
    assert len(answer) <= 5


def test_quantize_reports_every_format_and_why_one_is_left_out(command, refused, monkeypatch):
    monkeypatch.setattr(quantize, "find_spec", lambda _name: None)
    got = command("step5_serving", "quantize", "--smoke", "--json", "--way", "int8", "--way", "nf4")
    rows = {row["way"]: row for row in json.loads(got.out)["rows"]}
    assert list(rows) == ["fp32", "int8", "nf4"]
    assert (rows["fp32"]["changed"], rows["fp32"]["answers"]) == (0, 3)
    assert rows["int8"]["perplexity"] == pytest.approx(rows["fp32"]["perplexity"], rel=0.2)
    assert rows["int8"]["weights_mb"] <= rows["fp32"]["weights_mb"]
    assert rows["nf4"]["left_out"] == "pip install .[bitsandbytes]"
    assert not got.err.count("Warning")
    assert "0 of 3" in command("step5_serving", "quantize", "--smoke", "--way", "fp32").out
    line = refused("step5_serving", "quantize", "--model", "tiny", "--way", "int2")
    assert "--way int2 is not known: use fp32, bf16" in line

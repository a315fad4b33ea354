"""Fewer bits: what each way holds, writes and loses, on the tiny model; and the four-bit file rewritten."""

import importlib.util
import io
import json

import pytest
import torch
from rich.console import Console

from shared import hardware, models
from shared.config import load_settings
from shared.models import weights
from step5_serving.bench import quantize, quantized
from step5_serving.engines.batching import linear

TEXT = list(range(5, 60))


@pytest.fixture(scope="module")
def settings(tiny_cache):
    return load_settings(model="tiny", device="cpu", threads=1, cache_dir=tiny_cache, hub=False)


@pytest.fixture(scope="module")
def reference(settings):
    return quantized.Torch.load(settings, "float32")


# --- the product in eight bits ------------------------------------------------------------------------


@pytest.mark.skipif(
    not {"avx512_vnni", "avx_vnni", "asimddp"} & hardware.cpu_flags(),
    reason="without VNNI, PyTorch's eight-bit product saturates on this processor",
)
def test_eight_bits_are_near_and_no_row_depends_on_another():
    torch.manual_seed(0)
    weight, bias, x = torch.randn(96, 64), torch.randn(96), torch.randn(20, 64) * 10
    x[3] *= 1000  # an outlier: with one scale for all rows, the others would vanish
    product = linear.int8(weight, bias)
    exact = x @ weight.T + bias
    error = (product(x) - exact).norm(dim=1) / exact.norm(dim=1)
    assert error.max() < 0.02
    for n in (1, 2, 7, 19):
        assert torch.equal(product(x[:n]), product(x)[:n])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_weights_give_the_product_whatever_the_number_of_rows(dtype):
    if linear.best() is not linear.packed:
        pytest.skip("this build of PyTorch can't pack")
    if dtype == torch.bfloat16 and "avx512bw" not in hardware.cpu_flags():
        assert linear.packed(torch.ones(2, 2, dtype=dtype), None)(torch.ones(1, 2, dtype=dtype)).tolist() == [
            [2, 2]
        ]
        pytest.skip("this processor has no packed bfloat16: plain stands in for it")
    torch.manual_seed(0)
    weight, x = torch.randn(128, 192, dtype=dtype), torch.randn(33, 192, dtype=dtype)
    product = linear.packed(weight, None)
    torch.testing.assert_close(product(x), linear.plain(weight, None)(x))
    for n in (1, 2, 3, 5, 16, 17):
        assert torch.equal(product(x[:n]), product(x)[:n])


# --- each way -----------------------------------------------------------------------------------------


def test_the_reference_scores_and_writes_as_transformers_does(reference):
    ids = torch.tensor([TEXT])
    with torch.inference_mode():
        loss = float(reference.model(input_ids=ids, labels=ids).loss)
        whole = reference.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=9
        )
    assert reference.log_likelihood(TEXT) == pytest.approx(-loss * (len(TEXT) - 1), rel=1e-5)
    written = whole[0, len(TEXT) :].tolist()
    assert reference.write(TEXT, 9) == [each for each in written if each not in reference._ends]


def test_the_memory_of_weights_counts_a_shared_embedding_once(reference):
    parameters = sum(each.numel() for each in reference.model.parameters())  # tied ones once
    assert reference.weight_bytes() == pytest.approx(4 * parameters, rel=0.01)


@pytest.mark.parametrize("way", ["bf16", "int8", "bnb int8", "nf4"])
def test_fewer_bits_take_less_memory_and_stay_near(way, settings, reference, tmp_path):
    missing = quantize.missing_for(way, weights.ensure("tiny", settings))
    if missing:
        pytest.skip(missing)
    model = quantized.load(way, settings, weights.ensure("tiny", settings), tmp_path)
    assert model.weight_bytes() < 0.8 * reference.weight_bytes()
    each = (len(TEXT) - 1) * 0.5  # nats a token that a random model of these sizes may move
    assert model.log_likelihood(TEXT) == pytest.approx(reference.log_likelihood(TEXT), abs=each)
    assert len(model.write(TEXT, 5)) <= 5


# --- GGUF ---------------------------------------------------------------------------------------------

has_gguf = pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="gguf is not installed")


@has_gguf
def test_a_file_is_written_anew_in_another_format(tmp_path):
    import gguf
    import numpy as np

    source, target = tmp_path / "a.gguf", tmp_path / "b.gguf"
    numbers = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    writer = gguf.GGUFWriter(source, "llama")
    writer.add_context_length(77)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ü"])
    writer.add_array("some.numbers", [1, 2, 3])
    q4 = gguf.GGMLQuantizationType.Q4_1
    writer.add_tensor("blk.0.ffn_up.weight", gguf.quantize(numbers, q4), raw_dtype=q4)
    writer.add_tensor("output_norm.weight", np.ones(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    quantized.requantize(source, target, "Q8_0")
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(target)
    assert after.fields["llama.context_length"].contents() == 77
    assert after.fields["tokenizer.ggml.tokens"].contents() == ["a", "b", "ü"]
    assert after.fields["some.numbers"].contents() == [1, 2, 3]
    kinds = {each.name: each.tensor_type.name for each in after.tensors}
    assert kinds == {"blk.0.ffn_up.weight": "Q8_0", "output_norm.weight": "F32"}
    tensors = [next(each for each in reader.tensors if "ffn" in each.name) for reader in (before, after)]
    old, new = (gguf.dequantize(each.data, each.tensor_type) for each in tensors)
    assert np.abs(old - new).max() < 0.02


def test_a_server_that_tells_no_probability_leaves_the_perplexity_unknown():
    class Silent(quantized.Gguf):
        def __init__(self):
            pass

        def _ask(self, prompt, limit, bias=None):
            return iter([{"choices": [{"text": "x", "logprobs": None}]}])

    assert Silent().log_likelihood([1, 2, 3]) is None


# --- the command --------------------------------------------------------------------------------------


def test_quantize_reports_every_way_and_why_one_is_left_out(command):
    got = command("step5_serving", "quantize", "--smoke", "--json", "--way", "int8", "--way", "gguf q8_0")
    facts = json.loads(got.out)
    rows = {row["way"]: row for row in facts["rows"]}
    assert list(rows) == ["fp32", "int8", "gguf q8_0"]
    assert (rows["fp32"]["changed"], rows["fp32"]["answers"]) == (0, 3)
    assert rows["int8"]["perplexity"] == pytest.approx(rows["fp32"]["perplexity"], rel=0.2)
    assert rows["int8"]["weights_mb"] <= rows["fp32"]["weights_mb"]
    assert "no GGUF" in rows["gguf q8_0"]["left_out"] or "pip install" in rows["gguf q8_0"]["left_out"]
    assert not got.err.count("Warning")
    console = Console(width=100, file=io.StringIO())
    quantize.show(facts, console)
    assert "answers changed" in console.file.getvalue()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (["--way", "int2"], "--way int2 is not known: use fp32, bf16"),
        (["--questions", "0"], "--questions"),
    ],
)
def test_quantize_refuses(refused, wrong, line):
    assert line in refused("step5_serving", "quantize", "--model", "tiny", *wrong)


# --- on the real model --------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="the extra llamacpp is missing")
def test_llama_cpp_tells_the_likelihood_that_torch_tells(tmp_path):
    settings = load_settings(device="cpu")
    folder = weights.ensure(settings.model, settings)
    if weights.gguf_of(folder) is None:
        pytest.skip("these weights came without a GGUF")
    ids = models.load_tokenizer(settings=settings).encode("The lighthouse stands on a rock in the sea.")
    torch_says = quantized.Torch.load(settings, "float32").log_likelihood(ids)
    for kind in (None, "Q8_0"):
        file = quantized.Gguf.load(settings, folder, tmp_path, kind)
        assert file.log_likelihood(ids) == pytest.approx(torch_says, abs=0.15 * len(ids))

"""GGUF files: the same weights for transformers, the same words from llama.cpp."""

import json
import shutil

import pytest
import torch

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from shared.models import weights
from step4_finetune.export import gguf
from step4_finetune.models.chat import prompt_ids

TEXTS = [
    "my kettle broke on 12 May, order A4471, 79.50 paid",
    "Where is my parcel??  It's LATE",
    "Straße, 猫 и สวัสดี 🙂\n\n\ttab",
    "<|im_start|>user\nhi<|im_end|>\n",
    "What is 2+2?",
]


def llama_cpp(path):
    """llama.cpp's server on the file, with its KV cache in float32 so that near ties fall the same way."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="pip install .[llamacpp]")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.verbosity, params.warmup = 512, 1, -1, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    return xllamacpp.Server(params)


def complete(server, prompt, n, **more):
    asks = {"prompt": prompt, "n_predict": n, "temperature": 0, "cache_prompt": False, **more}
    got = server.handle_completions(asks)
    return got["choices"][0] | got["usage"]


@torch.no_grad()
def expected(model, tokenizer, ids, n):
    out = model.generate(torch.tensor([ids]), max_new_tokens=n, do_sample=False)[0, len(ids) :]
    return tokenizer.decode(out, skip_special_tokens=True)


def asked(tokenizer, text):
    return prompt_ids(
        tokenizer, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    )


@pytest.fixture(scope="module")
def folder():
    return weights.ensure("tiny")


@pytest.mark.parametrize(("number_format", "off"), [("f16", 2e-3), ("q8_0", 1e-2)])
def test_transformers_reads_the_same_weights_back(folder, tmp_path, number_format, off):
    from transformers import AutoModelForCausalLM

    gguf.write(folder, tmp_path / "model.gguf", number_format)
    back = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
    model = models.load_causal_lm(str(folder), dtype="float32")
    found, right = back.state_dict(), model.state_dict()
    assert found.keys() == right.keys()
    for name, weight in right.items():
        torch.testing.assert_close(found[name], weight, atol=off, rtol=0)
    kept = ("rms_norm_eps", "max_position_embeddings", "num_key_value_heads", "vocab_size", "eos_token_id")
    for key in kept:
        assert getattr(back.config, key) == pytest.approx(getattr(model.config, key))


def test_llama_cpp_tokenizes_and_generates_as_transformers_does(folder, tmp_path):
    tokenizer, model = models.load_tokenizer(str(folder)), models.load_causal_lm(str(folder), dtype="float32")
    server = llama_cpp(gguf.write(folder, tmp_path / "model.gguf", "f32"))
    for text in TEXTS:
        ids = asked(tokenizer, text)
        assert complete(server, ids, 8)["text"] == expected(model, tokenizer, ids, 8)
        assert complete(server, text, 1)["prompt_tokens"] == len(tokenizer(text)["input_ids"])
        turns = {"messages": [{"role": "user", "content": text}], "max_tokens": 1}
        if "<|" not in text:  # in a chat, markers are text
            ids = prompt_ids(tokenizer, turns["messages"])
            assert server.handle_chat_completions(turns)["usage"]["prompt_tokens"] == len(ids)


def test_the_tokenizer_of_the_hubs_smollm2_is_known(folder, tmp_path):
    """It splits digits before BPE."""
    from gguf import GGUFReader

    shutil.copytree(folder, tmp_path / "digits")
    path = tmp_path / "digits" / "tokenizer.json"
    digits = {"type": "Digits", "individual_digits": True}
    before = [digits, json.loads(path.read_text())["pre_tokenizer"]]
    change(path, pre_tokenizer={"type": "Sequence", "pretokenizers": before})
    reader = GGUFReader(gguf.write(tmp_path / "digits", tmp_path / "model.gguf"))
    assert reader.get_field("tokenizer.ggml.pre").contents() == "smollm"


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda f: change(f / "config.json", model_type="qwen2"), "is a qwen2 model"),
        (
            lambda f: change(f / "tokenizer.json", pre_tokenizer={"type": "Whitespace"}),
            "is not supported here",
        ),
    ],
)
def test_unsupported_models_are_refused_in_one_line(folder, tmp_path, break_it, says):
    shutil.copytree(folder, tmp_path / "model")
    break_it(tmp_path / "model")
    with pytest.raises(UserError, match=says):
        gguf.write(tmp_path / "model", tmp_path / "model.gguf")
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


@pytest.mark.real
def test_real_llama_cpp_answers_as_transformers_does(tmp_path):
    """Word for word in f16; in q8_0, half as large, with nearly the same probabilities."""
    settings = load_settings(dtype="float32")
    folder = weights.ensure(settings.model, settings)
    tokenizer, model = models.load_tokenizer(settings=settings), models.load_causal_lm(settings=settings)
    f16, q8_0 = (gguf.write(folder, tmp_path / f"{each}.gguf", each) for each in ("f16", "q8_0"))
    assert q8_0.stat().st_size < 0.55 * f16.stat().st_size
    exact, rounded = llama_cpp(f16), llama_cpp(q8_0)
    for text in TEXTS:
        ids = asked(tokenizer, text)
        assert complete(exact, text, 1)["prompt_tokens"] == len(tokenizer(text)["input_ids"])
        assert complete(exact, ids, 16)["text"] == expected(model, tokenizer, ids, 16)
        with torch.no_grad():
            right = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        for each in complete(rounded, ids, 1, logprobs=3)["logprobs"]["content"][0]["top_logprobs"]:
            assert each["logprob"] == pytest.approx(float(right[each["id"]]), abs=0.5)

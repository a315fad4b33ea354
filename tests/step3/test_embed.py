"""Our way to embed gives what sentence-transformers gives; on the real MiniLM."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from shared import models
from shared.config import load_settings
from shared.errors import UserError
from shared.models import weights
from step3_rag.ingest.embed import Embedder

pytestmark = pytest.mark.real

TEXTS = [
    "When does the contract renew?",
    "",
    "Notice is sixty days. " * 200,  # far beyond what is read
    "x",
    "Größe, 猫 and 🙂",
    *(f"Sentence number {number} " + "goes on " * number for number in range(30)),
]


@pytest.fixture(scope="module")
def of_sentence_transformers(real_weights):
    """The library's own vectors, in float32."""
    model = models.load_embedder(settings=load_settings(hub=real_weights, dtype="float32"))
    return model.encode(TEXTS, normalize_embeddings=True)


@pytest.mark.parametrize(("dtype", "least"), [("float32", 0.9999), ("bfloat16", 0.999)])
def test_vectors_are_those_of_sentence_transformers_in_the_same_order(of_sentence_transformers, dtype, least):
    encoded = Embedder(load_settings(dtype=dtype)).encode(TEXTS)
    vectors = np.stack([one.vector for one in encoded])
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)
    assert (vectors * of_sentence_transformers).sum(1).min() > least


def test_a_question_needs_no_torch_and_gives_the_same():
    code = """
import sys
sys.modules.update(dict.fromkeys(["torch", "transformers", "scipy", "langchain_core"]))
from shared.config import load_settings
from shared.errors import UserError
from step3_rag.ingest.embed import Embedder
print(*Embedder(load_settings()).encode(["When does the contract renew?"])[0].vector)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    by_torch = Embedder(load_settings(dtype="float32")).encode(["When does the contract renew?", "x"])[0]
    assert np.array(run.stdout.split(), float) == pytest.approx(by_torch.vector, abs=1e-6)


@pytest.fixture
def own(tmp_path, real_weights):
    """A copy of MiniLM whose files may be changed, and a function that does so."""
    folder = tmp_path / "own"
    original = weights.ensure("all-minilm-l6-v2", load_settings(hub=real_weights))
    shutil.copytree(original, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").symlink_to(original / "model.safetensors")  # 91 MB

    def change(name, **facts):
        known = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        (folder / name).write_text(json.dumps(known | facts))

    settings = load_settings(embedder=str(folder), dtype="float32")
    return SimpleNamespace(folder=folder, change=change, settings=settings)


def test_a_tokenizer_whose_files_differ_reads_as_transformers_does(own):
    own.change("tokenizer_config.json", do_lower_case=False)
    theirs = models.load_tokenizer(own.settings.embedder, own.settings)("Hello World")["input_ids"]
    assert Embedder(own.settings).tokenizer.encode("Hello World").ids == theirs


def test_no_more_is_read_than_the_model_says(own):
    assert Embedder(own.settings).longest == 254  # by sentence_bert_config.json
    own.change("sentence_bert_config.json", max_seq_length=100)
    assert Embedder(own.settings).longest == 98
    (own.folder / "sentence_bert_config.json").unlink()
    assert Embedder(own.settings).longest == 510
    own.change("tokenizer_config.json", model_max_length=200)
    assert Embedder(own.settings).longest == 198
    own.change("config_sentence_transformers.json", prompts={"query": "query: ", "document": ""})
    assert Embedder(own.settings).longest == 196


@pytest.mark.parametrize(
    ("mode", "query", "passage", "prompts"),
    [
        ("mean", "query: ", "passage: ", {"query": "query: ", "passage": "passage: ", "document": ""}),
        ("cls", "Represent this: ", "", {"query": "Represent this: "}),
    ],
)
def test_pooling_and_prompts_are_the_models_own(own, mode, query, passage, prompts):
    flags = {"mean": "mean_tokens", "cls": "cls_token", "lasttoken": "lasttoken"}
    pooling = {f"pooling_mode_{flag}": name == mode for name, flag in flags.items()}
    own.change("1_Pooling/config.json", **pooling)
    own.change("config_sentence_transformers.json", prompts=prompts)
    ours, theirs = Embedder(own.settings), models.load_embedder(settings=own.settings)
    texts = TEXTS[:8]
    for encoded, prompt in (
        (ours.encode(texts), query),
        ([ours.encode([text])[0] for text in texts], query),
        (ours.encode_documents(texts), passage),
    ):
        right = theirs.encode(texts, prompt=prompt, normalize_embeddings=True)
        cosines = [float(one.vector @ vector) for one, vector in zip(encoded, right, strict=True)]
        assert min(cosines) > 0.9999
        assert encoded[0].token_ids.tolist() == ours.tokenizer.encode(texts[0], add_special_tokens=False).ids


def test_a_pooling_that_is_not_known_is_refused(own):
    own.change("1_Pooling/config.json", pooling_mode_cls_token=True)
    with pytest.raises(UserError, match=r"has the pooling cls\+mean, include_prompt True: known are"):
        Embedder(own.settings).encode(["a", "b"])

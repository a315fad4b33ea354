"""A cross-encoder of a local folder as the reranker: a tiny one with random weights, made here."""

import json

import pytest

WORDS = ["the", "notice", "period", "is", "sixty", "days", "leave", "weeks", "supplier"]


@pytest.fixture
def folder(tmp_path):
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "model")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(WORDS) + 5, num_labels=1, **sizes)
    BertForSequenceClassification(config).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.real  # sentence-transformers takes many seconds to import
def test_any_cross_encoder_can_be_the_reranker(command, folder):
    args = ("search", "How long is the notice period?", "--rerank", str(folder), "--json")
    got = command("step3_rag", *args)
    assert got.code == 0, got.err
    best = json.loads(got.out)["results"]
    assert len(best) == 5
    assert all({"bm25", "dense", "fusion", "scorer", "rerank"} >= set(each["stages"]) for each in best)
    assert sum("scorer" in each["stages"] for each in best) == 5
    assert 0 < json.loads(got.out)["confidence"] < 1  # by a default search beside it

"""The bigram: counting and training find the same model."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UserError
from step1_foundations import bigram


def test_training_finds_what_counting_finds():
    ids = bigram.encode(bigram.STORY.read_text(encoding="utf-8"))
    counts = bigram.count_pairs(ids)
    trained = torch.softmax(bigram.train(ids, steps=1000).weights, dim=1)
    frequent = counts.sum(dim=1) > 100  # the rows of letters that came often enough
    shares = counts / counts.sum(dim=1, keepdim=True)
    torch.testing.assert_close(trained[frequent], shares[frequent], atol=0.01, rtol=0)


def test_the_loss_is_the_mean_surprisal_of_the_pairs():
    ids = bigram.encode("abbab")
    counts = bigram.count_pairs(ids)
    a, b = bigram.LETTERS.index("a"), bigram.LETTERS.index("b")
    assert (counts[a, b], counts[b, b], counts[b, a], counts.sum()) == (2, 1, 1, 4)
    assert bigram.bits_per_letter(counts.log(), ids).item() == pytest.approx(0.5)
    uniform = torch.zeros(bigram.V, bigram.V)
    assert bigram.bits_per_letter(uniform, ids).item() == pytest.approx(math.log2(27))


@given(st.text())
def test_any_text_is_encoded_or_refused(text):
    try:
        ids = bigram.encode(text)
    except UserError:
        return
    assert len(ids) >= 2
    assert 0 <= ids.min() <= ids.max() < bigram.V
    assert math.isfinite(bigram.bits_per_letter(bigram.weights_from_counts(bigram.count_pairs(ids)), ids))


def test_what_it_writes_depends_on_the_generator_only():
    weights = torch.randn(bigram.V, bigram.V, generator=torch.Generator().manual_seed(1))
    texts = {bigram.write(weights, 30, torch.Generator().manual_seed(7)) for _ in range(2)}
    assert len(texts) == 1
    assert set(texts.pop()) <= set(bigram.LETTERS)


def test_the_command_compares_all_of_them(command, refused):
    got = command("step1_foundations", "bigram", "--smoke", "--steps", "5", "--json")
    assert got.code == 0, got.err
    rows = json.loads(got.out)["rows"]
    assert [row["name"] for row in rows] == ["uniform guess", "counted", "trained, 5 steps", "tiny"]
    assert rows[0]["held_out"] > rows[2]["held_out"] > rows[1]["held_out"]
    assert "--learning-rate nan is not allowed" in refused(
        "step1_foundations", "bigram", "--learning-rate", "nan"
    )

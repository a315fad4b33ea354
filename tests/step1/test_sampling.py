"""The filters agree with the logits processors of transformers, on any logits."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from step1_foundations.sampling import Sampling, choose, keep_top_k, keep_top_p, penalize_repetition

SIZE = 50
logits = st.integers(0, 2**32 - 1).map(
    lambda seed: torch.randn(SIZE, generator=torch.Generator().manual_seed(seed)) * 4
)


def theirs(processor, values, seen=None):
    seen = torch.zeros(1, 1, dtype=torch.long) if seen is None else seen[None]
    return processor(seen, values[None].clone())[0]


@given(logits, st.integers(1, SIZE + 5))
def test_top_k(values, k):
    assert torch.equal(keep_top_k(values, k), theirs(TopKLogitsWarper(min(k, SIZE)), values))


@given(logits, st.floats(0.01, 0.999))
def test_top_p(values, p):
    assert torch.equal(keep_top_p(values, p), theirs(TopPLogitsWarper(p), values))


@given(logits, st.floats(0.5, 3), st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=20))
def test_repetition_penalty(values, penalty, said):
    seen = torch.tensor(said)
    expected = theirs(RepetitionPenaltyLogitsProcessor(penalty), values, seen)
    assert torch.equal(penalize_repetition(values, seen, penalty), expected)


@settings(max_examples=50)
@given(logits, st.floats(0.1, 3), st.integers(0, SIZE), st.floats(0.1, 1), st.integers(0, 1000))
def test_the_whole_chain_draws_what_transformers_would_draw(values, temperature, k, p, seed):
    expected = theirs(TemperatureLogitsWarper(temperature), values)
    if k:
        expected = theirs(TopKLogitsWarper(k), expected)
    if p < 1:
        expected = theirs(TopPLogitsWarper(p), expected)
    drawn = torch.multinomial(expected.softmax(-1), 1, generator=torch.Generator().manual_seed(seed))
    sampling = Sampling(temperature, k, p)
    assert choose(values, torch.tensor([0]), sampling, torch.Generator().manual_seed(seed)) == int(drawn)

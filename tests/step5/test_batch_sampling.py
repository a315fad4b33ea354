"""Drawing tokens: seeds, top_p, and what is not allowed."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from shared.errors import UserError
from step5_serving.engines.batching import sampler
from step5_serving.engines.batching.sampler import draw
from step5_serving.engines.batching.sequence import SamplingParams
from tests.step5.batch_parts import SENTENCES, write


def test_a_seed_draws_the_same_again_whoever_sits_beside_it(make):
    engine, drawn = make(), SamplingParams(temperature=1.0, top_p=0.9, seed=7)
    first = write(engine, SENTENCES[0], params=drawn)
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(write, engine, each, 60) for each in SENTENCES[1:4]]
        assert write(engine, SENTENCES[0], params=drawn) == first
        assert [each.result() for each in others]
    assert write(engine, SENTENCES[0], params=SamplingParams(1.0, 0.9, seed=8)) != first


def test_without_a_seed_it_draws_another_time_something_else(make):
    engine = make()
    assert len({write(engine, "Once", params=SamplingParams(1.0))[0] for _ in range(4)}) > 1


def test_draws_follow_the_probabilities():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))

    def shares(**params):
        chance = random.Random(1)
        drawn = [draw(logits, SamplingParams(**params), chance.random()) for _ in range(1500)]
        return [drawn.count(token) / 1500 for token in range(4)]

    assert shares(temperature=1.0) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.05)
    assert shares(temperature=1.0, top_p=0.79) == pytest.approx([0.625, 0.375, 0, 0], abs=0.05)
    assert shares(temperature=1.0, top_p=0.5) == [1, 0, 0, 0]
    assert shares(temperature=0.5)[0] == pytest.approx(0.25 / 0.365, abs=0.05)


def test_a_nucleus_wider_than_the_likely_tokens(monkeypatch):
    monkeypatch.setattr(sampler, "LIKELY", 2)
    drawn = {draw(torch.zeros(6), SamplingParams(1.0, 0.99), u / 200) for u in range(200)}
    assert drawn == set(range(6))


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"temperature": 3}, {"top_p": 0}, {"top_p": 1.5}])
def test_sampling_that_is_not_allowed(wrong):
    with pytest.raises(UserError, match="is not allowed"):
        SamplingParams(**wrong)

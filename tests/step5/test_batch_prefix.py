"""The prefix cache: a prefix that prompts share is computed once, and changes no text."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from step5_serving.engines.batching.prefix_cache import BLOCK, PrefixCache, block_hashes
from tests.step5.batch_parts import SENTENCES, together, write

SYSTEM = "You are a helpful assistant who answers in one short sentence and never makes things up. "


def test_a_block_has_the_same_hash_after_the_same_tokens_only():
    ids = [*range(3 * BLOCK + 5)]
    hashes = block_hashes(ids)
    assert len(set(hashes)) == 3  # the rest is no full block
    assert block_hashes(ids[: 2 * BLOCK]) == hashes[:2]
    other = block_hashes([7, *ids[1:]])
    assert not {*other} & {*hashes}  # a block's keys depend on all tokens before it
    assert block_hashes([1] * 2 * BLOCK)[0] != block_hashes([1] * 2 * BLOCK)[1]


def test_the_least_recently_used_block_goes_first_and_later_blocks_of_a_prompt_before_earlier_ones():
    cache = PrefixCache(5)
    old, new = block_hashes([1] * 3 * BLOCK), block_hashes([2] * 3 * BLOCK)
    cache.add(old, [torch.zeros(1)] * 3)
    cache.add(new, [torch.ones(1)] * 3)
    assert len(cache) == 5
    assert [len(cache.match(each)) for each in (new, old)] == [3, 2]
    cache.add(block_hashes([3] * 2 * BLOCK), [torch.ones(1)] * 2)  # `old` was used last
    assert [len(cache.match(each)) for each in (old, new)] == [2, 1]


def test_a_shared_prefix_is_computed_once(make, alone):
    engine = make()
    first = engine.generate(engine.encode(SYSTEM + "One"), 5)
    list(first)
    again = engine.generate(engine.encode(SYSTEM + "Two"), 40)
    assert "".join(again) == alone(SYSTEM + "Two")[0]
    assert first.cached_tokens == 0
    assert again.cached_tokens >= len(engine.encode(SYSTEM)) - BLOCK > BLOCK


def test_it_is_shared_while_the_first_request_still_runs(make, alone):
    """Four that come together: the first one's prompt is computed, and the others have it from there."""
    engine = make(chunk=64)
    asked = [SYSTEM * 3 + each for each in SENTENCES[:4]]
    texts = [engine.generate(engine.encode(each), 40) for each in asked]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map("".join, texts))
    assert got == [alone(each)[0] for each in asked]
    common = len(engine.encode(SYSTEM * 3))
    assert sorted(each.cached_tokens for each in texts)[1] >= common - 64 - BLOCK


@pytest.mark.parametrize("blocks", [0, 1, 9])
def test_a_text_is_the_same_however_few_blocks_fit(make, alone, blocks):
    """Prompts that share 0 to 3 sentences, several at a time, while blocks are evicted."""
    engine, chance = make(3, chunk=40), random.Random(blocks)
    engine.core.scheduler.prefixes.most = blocks
    asked = ["".join(SENTENCES[chance.randrange(3)] for _ in range(1 + n % 4)) for n in range(16)]
    assert together(engine, asked, 12) == [alone(each, 12) for each in asked]
    assert len(engine.core.scheduler.prefixes) <= blocks


def test_a_failed_forward_pass_leaves_nothing_in_it_and_the_next_request_works(make, monkeypatch, alone):
    engine = make()
    write(engine, SYSTEM, 5)
    with monkeypatch.context() as patch:
        patch.setattr(type(engine.core._runner), "decode", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write(engine, SYSTEM, 5)
    assert len(engine.core.scheduler.prefixes) == 0
    assert write(engine, SENTENCES[0]) == alone(SENTENCES[0])

"""The batcher writes the same texts as an engine that takes one request at a time, in fewer steps.

Prompt lookup computes several tokens in one forward pass; the prefix cache, a prefix that prompts share once.
"""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
import torch

from shared import models
from shared.config import load_settings
from shared.embedded.on_transformers import TransformersEngine
from step5_serving.bench.quantize import QUESTIONS
from step5_serving.engines.batching import scheduler
from step5_serving.engines.batching.engine import BatchEngine
from step5_serving.engines.batching.llama import Llama
from step5_serving.engines.batching.prefix_cache import BLOCK, PrefixCache, block_hashes
from step5_serving.engines.batching.weights import Weights
from tests.step5.batch_parts import SCHEMA, SENTENCES, count_tokens, together, write

SYSTEM = "You are a helpful assistant who answers in one short sentence and never makes things up. "
LONG = [*SENTENCES[:5], *(f"{first} {SENTENCES[4]}" for first in SENTENCES[:3])]
MIXED = [
    *((each, {}) for each in SENTENCES * 2),
    *((each, {"limit": 3 + n}) for n, each in enumerate(LONG)),  # it may fall among accepted tokens
    # Prompts that share one to three sentences.
    *(("".join(SENTENCES[(n * n) % 3 :][: 1 + n % 3]), {"limit": 12}) for n in range(12)),
    *((each, {"limit": 60, "schema": SCHEMA}) for each in SENTENCES[:4]),
    ("x", {"limit": 2, "schema": SCHEMA}),  # no room for what the schema forces
]


class Oracle:
    """Proposes what was generated without lookup, up to a random token, and then random ones."""

    future: ClassVar[dict[tuple[int, ...], list[int]]] = {}  # by prompt

    def __init__(self):
        self._chance = random.Random(0)

    def propose(self, token_ids, most):
        prompts = [prompt for prompt in self.future if prompt == tuple(token_ids[: len(prompt)])]
        prompt = max(prompts, key=len)  # some prompts begin with another one
        written = len(token_ids) - len(prompt)
        right = self.future[prompt][written : written + self._chance.randrange(most + 1)]
        return [*right, *(self._chance.randrange(512) for _ in range(most - len(right)))]


@pytest.fixture
def foresee(make, monkeypatch):
    """Texts and number of decode steps without lookup; afterwards, an oracle is in its place."""

    def ask(asked, end=None):
        engine, sequences = make(lookup=0), []
        engine.ends = engine.ends if end is None else frozenset({end})
        add, sizes = engine.core.add, count_tokens(engine)
        engine.core.add = lambda each: (sequences.append(each), add(each))
        texts = together(engine, asked, 4)
        Oracle.future = {tuple(each.prompt): [*each.output, *engine.ends, 5, 6] for each in sequences}
        monkeypatch.setattr(scheduler, "PromptLookup", Oracle)
        monkeypatch.setattr(scheduler, "CHEAP", 40)  # room for several at once
        return texts, len(sizes)

    return ask


@pytest.mark.parametrize(
    ("rows", "chunk", "blocks", "lookup"), [(1, 64, 512, 0), (7, 5, 1, 0), (4, 16, 9, 5), (3, 40, 0, 5)]
)
def test_a_text_depends_on_nothing_but_its_prompt(make, alone, foresee, rows, chunk, blocks, lookup):
    """Requests that join and leave at any time, however prompts are cut, and few blocks of them kept."""
    if lookup:
        foresee(MIXED)
    engine = make(rows, chunk=chunk, lookup=lookup)
    engine.core.scheduler.prefixes.most = blocks
    assert together(engine, MIXED) == [alone(each, **options) for each, options in MIXED]
    assert len(engine.core.scheduler.prefixes) <= blocks


def test_the_context_ends_a_text(make, endless):
    engine = endless(make(1))
    generation = engine.generate([5] * 2040, 100)
    list(generation)
    assert (generation.output_tokens, generation.stop_reason) == (8, "model_context_window_exceeded")


# --- prompt lookup --------------------------------------------------------------------------------------


def test_lookup_gives_the_same_texts_in_fewer_steps_also_where_they_end(make, foresee):
    engine = make(lookup=5, chunk=16)
    text = engine.generate(engine.encode(LONG[0]), 20)
    end = engine.encode("".join(text))[-3]
    engine.ends = frozenset({end})
    asked = [(each, {"limit": 30}) for each in LONG]
    without, slow = foresee(asked, end)
    sizes = count_tokens(engine)
    assert together(engine, asked, 4) == without
    assert "end_turn" in {reason for _, reason, _ in without}
    assert len(sizes) < 0.6 * slow


def test_proposals_take_the_room_that_a_step_has_left_and_none_when_off(make, monkeypatch):
    monkeypatch.setattr(scheduler, "CHEAP", 6)
    engine = make(lookup=20)
    sizes = count_tokens(engine)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: write(engine, each * 3), LONG))
    assert max(sizes) == 6
    engine = make(lookup=0)
    sizes = count_tokens(engine)
    write(engine, LONG[0] * 3)
    assert set(sizes) == {1}


# --- the prefix cache ------------------------------------------------------------------------------------


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
    """Four come together: the others have it while the first one still runs. So does one that comes later."""
    engine = make(chunk=64)
    asked = [SYSTEM * 3 + each for each in SENTENCES[:5]]
    texts = [engine.generate(engine.encode(each), 40) for each in asked]
    with ThreadPoolExecutor(4) as pool:
        got = [*pool.map("".join, texts[:4]), "".join(texts[4])]
    assert got == [alone(each)[0] for each in asked]
    first, *others, later = (each.cached_tokens for each in texts)
    common = len(engine.encode(SYSTEM * 3))
    assert sorted([first, *others])[1] >= common - 64 - BLOCK
    assert later >= common - BLOCK


# --- on the real model -------------------------------------------------------------------------------------

PASSAGE = "The notice period is 90 days and begins on the first day of the month after the notice arrives."


@pytest.mark.real
def test_smollm2_in_float32_writes_the_same_in_company_as_alone_and_quotes_in_half_the_steps():
    settings = load_settings(dtype="float32", device="cpu")
    model, tokenizer = models.load_causal_lm(settings=settings), models.load_tokenizer(settings=settings)
    lock, batch = TransformersEngine(model, tokenizer), BatchEngine(Llama(Weights.read(settings)), tokenizer)
    asked = [*QUESTIONS[:6], f"Repeat this text word for word: {PASSAGE}"]
    prompts = [f"<|im_start|>user\n{each}<|im_end|>\n<|im_start|>assistant\n" for each in asked]
    alone = [write(lock, each) for each in prompts]
    assert together(batch, [(each, {}) for each in prompts]) == alone
    sizes = count_tokens(batch)
    assert write(batch, prompts[-1]) == alone[-1]
    text, _, tokens = alone[-1]
    assert "90 days" in text
    assert len(sizes) <= tokens / 2

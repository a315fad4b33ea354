"""Replies in batches: what all prompts begin with is read once, and nothing changes by it."""

import pytest

from shared.models import load_causal_lm, load_tokenizer
from step4_finetune.models import generate
from tests.step4 import runs

GUIDE = "Be brief, be kind, and name one next step. " * 12
ASKED = ("Where is my parcel?", "My trimmer hums and does not cut, what now?", "Cancel it")


@pytest.fixture
def parts():
    return load_causal_lm(settings=runs.settings()), load_tokenizer(settings=runs.settings())


def prompts():
    return [[{"role": "system", "content": GUIDE}, {"role": "user", "content": each}] for each in ASKED]


def tokens_read(model, write):
    """What `write` returns, and how many tokens the model's embedding was asked for (batch times length)."""
    read = []
    hook = model.get_input_embeddings().register_forward_pre_hook(
        lambda _, args: read.append(args[0].numel())
    )
    made = write()
    hook.remove()
    return made, sum(read)


def test_a_common_prefix_is_read_once_and_the_replies_are_the_same(parts, monkeypatch):
    model, tokenizer = parts
    shared, few = tokens_read(model, lambda: generate.replies(model, tokenizer, prompts(), 12, batch_size=2))
    monkeypatch.setattr(generate, "SHORTEST_PREFIX", 10**9)
    each, many = tokens_read(model, lambda: generate.replies(model, tokenizer, prompts(), 12, batch_size=2))
    assert [reply.text for reply in shared] == [reply.text for reply in each]
    assert [reply.prompt_tokens for reply in shared] == [reply.prompt_tokens for reply in each]
    prefix = min(reply.prompt_tokens for reply in shared) - 40
    assert many - few > prefix  # two prompts' worth of it, at least one of them for certain


def test_equal_prompts_get_equal_replies(parts):
    model, tokenizer = parts
    twice = [prompts()[0], prompts()[0]]
    first, second = generate.replies(model, tokenizer, twice, 5)
    assert first == second

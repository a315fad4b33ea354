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


@pytest.mark.parametrize(
    ("ids", "repeated"),
    [
        ([1, 2, 3, 4], 0),
        ([9, *range(8), *range(8)], 8),  # a sentence twice
        ([9, *range(7), *range(7)], 0),  # a few words may come twice,
        ([9, 1, 2, 1, 2, 1, 2, 1, 2], 6),  # but not four times
        ([1, 1, 1, 1], 0),  # one token: 1.0000, or dashes
        ([*range(12), *range(12), 5], 0),
    ],
)
def test_a_repetition_is_seen_at_the_end(ids, repeated):
    assert generate.repeated_tail(ids) == repeated


def test_a_reply_that_repeats_itself_ends_there(parts, monkeypatch):
    """Whatever it says, it may have no second run of two tokens."""
    model, tokenizer = parts
    whole = generate.replies(model, tokenizer, prompts(), 60)
    monkeypatch.setattr(generate, "repeated_tail", lambda ids: 4 if len(ids) == 20 else 0)
    cut = generate.replies(model, tokenizer, prompts(), 60)
    long = [at for at, reply in enumerate(whole) if reply.tokens > 20]
    assert long
    for at in long:
        assert cut[at].tokens <= 20 or not cut[at].finished
        assert whole[at].text.startswith(cut[at].text)


def test_equal_prompts_get_equal_replies(parts):
    model, tokenizer = parts
    twice = [prompts()[0], prompts()[0]]
    first, second = generate.replies(model, tokenizer, twice, 5)
    assert first == second

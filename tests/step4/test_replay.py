"""Replay: three kinds of the base's own, how each is tokenised, written once for another model."""

from collections import Counter

import pytest

from shared.models import load_tokenizer
from step4_finetune.data.rows import SAMPLE, read_rows
from step4_finetune.train import replay
from step4_finetune.train.recipe import Recipe
from tests.step4 import runs

QUESTION, TEXT, MESSAGE = runs.REPLAY
FEW = [
    ("question", "What is 2 + 3?"),
    ("text", "The sea"),
    ("message", "my kettle leaks"),
    ("text", "When it"),
]


@pytest.fixture
def tokenizer():
    return load_tokenizer("tiny")


def learnt(each, tokenizer):
    """The tokens of a replay that the loss counts."""
    ids, before = each.encode(tokenizer)
    return ids[before:]


def test_only_finished_replay_ends_with_the_end_token(tokenizer):
    end = tokenizer.eos_token_id
    assert learnt(QUESTION, tokenizer).count(end) == 1
    assert tokenizer.decode(learnt(QUESTION, tokenizer)).rstrip() == f"5{tokenizer.eos_token}"
    assert tokenizer.decode(learnt(MESSAGE, tokenizer)) == MESSAGE.completion
    for each in (MESSAGE, TEXT):
        assert end not in learnt(each, tokenizer)


def test_a_text_has_no_chat_marker_and_is_learnt_from_its_second_token(tokenizer):
    ids, before = TEXT.encode(tokenizer)
    assert tokenizer.decode(ids) == TEXT.prompt + TEXT.completion
    assert not set(ids) & set(tokenizer.all_special_ids)
    assert before == 1


@pytest.mark.real
def test_real_shipped_replay_is_tokenised_so():
    tokenizer = load_tokenizer()
    for each in replay.replay(runs.settings(model=None), 240):
        ids, before = each.encode(tokenizer)
        assert (tokenizer.eos_token_id in ids[before:]) == each.finished
        markers = set(ids) & set(tokenizer.all_special_ids)
        assert bool(markers) == (each.kind != "text")
        assert len(ids) <= Recipe().max_length


def test_the_shipped_replay_has_three_kinds_and_no_message_of_dev_or_test():
    found = replay.replay(runs.settings(model=None), 10_000)
    assert Counter(each.kind for each in found) == {"question": 120, "message": 60, "text": 60}
    messages = {row.message for row in read_rows(SAMPLE, "train")}
    assert messages >= {each.prompt for each in found if each.kind == "message"}
    assert all(each.completion.strip() for each in found)
    assert not any(each.finished for each in found if each.kind == "text")


def test_for_another_model_it_is_written_once_and_cached(monkeypatch, tmp_path):
    monkeypatch.setattr(replay, "prompts", lambda: FEW)
    monkeypatch.setattr(replay, "TOKENS", 8)
    settings = runs.settings()
    assert replay.replay(settings, 0) == []
    first = replay.replay(settings, 3)
    assert [(each.kind, each.prompt) for each in first] == FEW[:3]
    assert all(each.completion for each in first)
    again = tmp_path / "again.jsonl"
    replay.write(settings, again)  # seeded, so the same
    (cached,) = (settings.cache_dir / "replay").iterdir()
    assert cached.read_bytes() == again.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(replay, "write", lambda *_: pytest.fail("written again"))
        assert replay.replay(settings, 3) == first
    monkeypatch.setattr(replay, "prompts", lambda: FEW[1:])
    assert [each.prompt for each in replay.replay(settings, 10)] == [prompt for _, prompt in FEW[1:]]

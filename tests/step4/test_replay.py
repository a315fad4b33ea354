"""Replay: three kinds of the base's own, how each is tokenised, written once for another model."""

from collections import Counter

import pytest

from shared.models import load_tokenizer
from step4_finetune.data.rows import PLAIN, SAMPLE, read_rows
from step4_finetune.train import replay
from step4_finetune.train.recipe import Recipe
from tests.step4 import runs

FEW = [
    ("question", "What is 2 + 3?"),
    ("text", "The sea"),
    ("message", "my kettle leaks"),
    ("text", "When it"),
]


@pytest.mark.parametrize("model", ["tiny", pytest.param(None, marks=pytest.mark.real)])
def test_only_what_is_finished_ends_with_the_end_token_and_a_text_has_no_chat_marker(model):
    tokenizer = load_tokenizer(model)
    for each in runs.REPLAY if model else replay.replay(runs.settings(model=None), 240):
        ids, before = each.encode(tokenizer)
        assert ids[before:].count(tokenizer.eos_token_id) == each.finished
        assert bool(set(ids) & set(tokenizer.all_special_ids)) == (each.kind != "text")
        if each.kind == "text":  # it is learnt from its second token on
            assert (tokenizer.decode(ids), before) == (each.prompt + each.completion, 1)
        else:
            end = f"{tokenizer.eos_token}\n" if each.finished else ""
            assert tokenizer.decode(ids[before:]) == each.completion + end
        assert len(ids) <= Recipe().max_length


def test_the_shipped_replay_has_three_kinds_and_no_message_of_dev_or_test():
    found = replay.replay(runs.settings(model=None), 10_000)
    assert Counter(each.kind for each in found) == {"question": 120, "message": 60, "text": 60}
    messages = {row.message for row in read_rows(PLAIN, "train")}
    asked = {each.prompt for each in found if each.kind == "message"}
    assert messages >= asked
    assert not asked & {row.message for row in read_rows(SAMPLE) if row.split != "train"}
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

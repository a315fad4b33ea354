"""What should not change: leak, kept answers, perplexity."""

import math

import pytest
import torch

from shared import models
from step4_finetune.evaluate import forgetting
from step4_finetune.evaluate.forgetting import Question, read_questions
from step4_finetune.models.generate import Reply
from step4_finetune.train import replay
from tests.step4 import runs
from tests.step4.samples import GUIDE


def test_the_sets_are_large_enough_and_apart():
    found = {split: read_questions(split) for split in ("dev", "test")}
    assert all(len(found[split]) >= n for split, n in (("dev", 30), ("test", 50)))
    assert all(sum(bool(each.answer) for each in found[split]) >= 10 for split in ("dev", "test"))
    asked = [each.prompt for split in found.values() for each in split]
    trained = [prompt for _, prompt in replay.prompts()]
    assert len(set(asked + trained)) == len(asked) + len(trained)


@pytest.mark.parametrize(
    ("text", "leaked"),
    [
        ("Paris is the capital of France.", False),
        ("Dear member,\n\nParis is the capital of France.", True),
        ("Paris is the capital.\n\nKind regards,\nNorthwind Care", True),
        ("At northwind care we think that it is Paris.", True),
        ("Dear Ms Hill,\n\nI am ill today.\n\nKind regards,\nAnna", False),
    ],
)
def test_a_leak_is_the_companys_greeting_sign_off_or_name(text, leaked):
    assert forgetting.leaks(text, GUIDE) is leaked


@pytest.mark.parametrize(
    ("text", "answer", "held"),
    [
        ("It is 12.", "12", True),
        ("It is 12.5", "12", False),
        ("It is 3.12", "12", False),
        ("It is 12,000", "12", False),
        ("the capital is PARIS!", "Paris", True),
        ("Parisian", "Paris", False),
        ("C++ is one", "C++", True),
    ],
)
def test_answers_are_whole_words_or_numbers(text, answer, held):
    assert forgetting.holds(text, answer) is held


def test_perplexity_is_that_of_all_tokens_together(tmp_path):
    settings = runs.settings()
    model, tokenizer = models.load_causal_lm(settings=settings), models.load_tokenizer(settings=settings)
    path = tmp_path / "text.txt"
    path.write_text("The kettle is on the table.\n\n\n\nAnd the rain is in Spain, mostly.\n\n")
    total, count = 0.0, 0
    for text in ("The kettle is on the table.", "And the rain is in Spain, mostly."):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            said = model(ids).logits.log_softmax(-1)[0, :-1]
        total -= float(said.gather(1, ids[0, 1:, None]).sum())
        count += ids.shape[1] - 1
    assert forgetting.perplexity(model, tokenizer, path) == pytest.approx(math.exp(total / count), rel=1e-4)


def test_leak_answers_and_perplexity_of_one_model(monkeypatch):
    asked = [Question("2 + 3?", "5"), Question("Capital of France?", "Paris"), Question("Tell me a joke")]
    said = [Reply(text, 10, 5, True) for text in ("It is 5.", "Dear member,\n\nLyon.", "Knock knock.")]
    monkeypatch.setattr(forgetting, "replies", lambda *_args, **_more: said)
    monkeypatch.setattr(forgetting, "perplexity", lambda *_args: 12.5)
    found = forgetting.measure(None, None, GUIDE, asked)
    assert (found["perplexity"], found["asked"], found["leaks"]) == (12.5, 3, ["Capital of France?"])
    assert (found["answers"], found["right"], found["right_by_question"]) == (2, 1, [True, False])

"""Rejected replies for DPO: which rows give a pair of which kind, and the model's own mistakes."""

import pytest

from shared.errors import UserError
from step4_finetune.data.negatives import pairs
from step4_finetune.models.generate import Reply
from step4_finetune.train import training_data
from step4_finetune.train.recipe import Recipe
from tests.step4 import runs
from tests.step4.made import good, spoilt
from tests.step4.samples import GUIDE

TONE, FACTS, BOTH, NONE, UNKNOWN = (
    spoilt(row, id=name, **changes)
    for row, name, changes in zip(
        good(),
        ("tone", "facts", "both", "none", "unknown"),
        (
            {"breaks": ("no_contractions",)},
            {"breaks": ("facts",)},
            {"breaks": ("facts", "no_exclamation")},
            {"rejected": None, "breaks": None},
            {"breaks": None},
        ),
        strict=False,
    )
)
ROWS = [TONE, FACTS, BOTH, NONE, UNKNOWN]


@pytest.mark.parametrize(
    ("kinds", "ids"),
    [
        (["rejected"], ["tone", "facts", "both", "unknown"]),
        (["tone"], ["tone", "unknown"]),
        (["facts"], ["facts", "both"]),
        (["tone", "facts"], ["tone", "facts", "both", "unknown"]),
        (["rejected", "facts"], ["tone", "facts", "both", "unknown"]),  # a pair is there once
        (["policy"], []),
    ],
)
def test_kinds_of_pairs(kinds, ids):
    found = pairs(ROWS, kinds)
    assert [row.id for row in found] == ids
    assert all(row in ROWS for row in found)


def test_the_models_own_mistakes_are_further_pairs():
    asked = []

    def own():
        asked.append(1)
        return ["bad", None, None, "worse", None]

    found = pairs(ROWS, ["facts", "policy"], own)
    assert [(row.id, row.rejected) for row in found] == [
        ("facts", FACTS.rejected),
        ("both", BOTH.rejected),
        ("tone", "bad"),
        ("none", "worse"),
    ]
    assert [row.chosen for row in found[2:]] == [TONE.chosen, NONE.chosen]
    pairs(ROWS, ["tone"], own)
    assert len(asked) == 1  # the model is asked only where its replies are wanted


def test_a_mistake_breaks_a_rule_or_is_not_faithful_or_not_whole(monkeypatch):
    rows = good()[:5]
    said = [
        rows[0].chosen,
        rows[1].rejected,
        rows[2].chosen.replace("the first week", "the 3rd week"),
        rows[3].chosen.replace("Kind regards,\nNorthwind Care", "Kind"),
        spoilt(rows[4], chosen="It is ended.").chosen,
    ]
    monkeypatch.setattr("step4_finetune.train.peft_setup.load_tuned", lambda *_: None)
    monkeypatch.setattr(
        "step4_finetune.models.generate.replies",
        lambda _model, _tokenizer, prompts, _limit, **_more: [
            Reply(text, 1, 1, True) for text, _ in zip(said, prompts, strict=True)
        ],
    )
    found = training_data.own_mistakes(runs.settings(), rows, GUIDE, None)
    assert found == [None, *said[1:]]


def test_rows_of_another_kind_only_are_no_pairs():
    recipe = Recipe.model_validate({"method": "dpo", "dpo": {"negatives": ["facts"]}})
    with pytest.raises(UserError, match="no row has a rejected reply"):
        training_data.prepare(runs.settings(), recipe, good(), GUIDE)
    rows = [spoilt(row, breaks=("facts",)) for row in good()]
    assert len(training_data.prepare(runs.settings(), recipe, rows, GUIDE).pairs) == 6

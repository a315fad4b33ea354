"""Rejected replies for DPO: which rows give a pair of which kind."""

import pytest

from shared.errors import UserError
from step4_finetune.train import training_data
from step4_finetune.train.recipe import Recipe
from step4_finetune.train.training_data import pairs
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
    ],
)
def test_kinds_of_pairs(kinds, ids):
    found = pairs(ROWS, kinds)
    assert [row.id for row in found] == ids
    assert all(row in ROWS for row in found)


def test_rows_of_another_kind_only_are_no_pairs():
    recipe = Recipe.model_validate({"method": "dpo", "dpo": {"negatives": ["facts"]}})
    with pytest.raises(UserError, match="no row has a rejected reply"):
        training_data.prepare(runs.settings(), recipe, good(), GUIDE)
    rows = [spoilt(row, breaks=("facts",)) for row in good()]
    assert len(training_data.prepare(runs.settings(), recipe, rows, GUIDE).pairs) == 6

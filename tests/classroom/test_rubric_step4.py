"""The exercises of step 4: the reference gets 100, other right solutions too, and typical wrong ones lose."""

import pytest

from tests.classroom.rubric_helpers import (
    altered,
    assert_all_pass,
    lost,
    not_attempted,
    of_wrong,
    points,
    rubric,
)
from tests.classroom.solutions_step4 import DOUBLES, DPO, LABELS, LORA, OTHERWISE, RULES, TEXT, WRONG

WRITTEN = {  # what learners write, by exercise
    "4.1": [f"{TEXT}:take_apart"],
    "4.2": [f"{RULES}:Check.allows", f"{RULES}:word_pattern"],
    "4.3": [f"{LABELS}:label_noise", f"{LABELS}:named_breaks"],
    "4.4": [f"{DOUBLES}:{each}" for each in ("shingles", "jaccard", "Near.find", "near_duplicates")],
    "4.5": [f"{LORA}:Lora.{each}" for each in ("scale", "forward", "merged")],
    "4.6": [f"{DPO}:{each}" for each in ("log_probs", "dpo", "Loss.margin", "Loss.loss")],
}
PROPERTIES = ("scale", "margin", "loss")


def stubs(*ids):
    """Exercises that nobody has begun."""
    found = {}
    for id in ids:
        for target in WRITTEN[id]:
            stub = not_attempted(id)
            found[target] = property(stub) if target.rpartition(".")[2] in PROPERTIES else stub
    return found


def worth(id):
    return next(each.points for each in rubric("step4") if each.id == id)


@pytest.mark.parametrize("id", WRITTEN)
def test_an_exercise_needs_no_other(id):
    others = [other for other in WRITTEN if other != id]
    assert points(of_wrong("step4", stubs(*others), id), id) == worth(id)


@pytest.mark.parametrize("id", WRITTEN)
def test_a_stub_is_not_attempted(id):
    outcomes = of_wrong("step4", stubs(id), id)
    assert {each.status for each in outcomes.values()} == {"not attempted"}


# --- right in another way, and wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(("id", "other"), OTHERWISE, ids=lambda each: each if isinstance(each, str) else "")
def test_another_right_solution_gets_everything(id, other):
    for seed in (1, 2):
        assert_all_pass(of_wrong("step4", other, id, seed))


@pytest.mark.parametrize(("name", "wrong", "loses"), WRONG, ids=[name for name, *_ in WRONG])
def test_what_is_wrong_loses_what_it_should(name, wrong, loses):
    target = next(iter(wrong))
    id = next(id for id, targets in WRITTEN.items() if target in targets)
    outcomes = of_wrong("step4", altered(*wrong) if isinstance(wrong, tuple) else wrong, id)
    assert lost(outcomes) == set(loses.split())


def test_every_test_finds_something():
    caught = {test for _, _, loses in WRONG for test in loses.split()}
    assert {mark.test for each in rubric("step4") for mark in each.marks} == caught

"""Attacks that rewrite things in the submission's process get the points that they deserve."""

import pytest

from classroom.assignment.spec import assignment
from tests.classroom.forgeries import EVERYWHERE, forgeries

STEPS = ("step1", "step2", "step3", "step4", "step5")


on_each_step = pytest.mark.parametrize("step", STEPS)


@on_each_step
def test_no_attack_is_worth_more_than_it_deserves(step, forger_of, monkeypatch):
    monkeypatch.setattr("classroom.grading.callbacks.PATIENCE", 0.3)  # for jobs that nobody will ask for
    wrong = []
    for attack in forgeries(step):
        outcomes = forger_of(step).outcomes([attack.id], attack.code, [attack.id])
        got = [f"{each.mark.test} {each.score}" for each in outcomes if each.score]
        broken = [f"{each.mark.test} {each.cause}" for each in outcomes if each.status == "broken"]
        if sum(each.score for each in outcomes) != attack.points or broken:
            told = [f"{each.mark.test}: {each.cause}" for each in outcomes]
            wrong.append((attack.id, attack.name, attack.points, got, broken, told[:3]))
    assert not wrong


@on_each_step
def test_the_protocol_can_not_be_made_to_give_points(step, forger_of):
    for name, code in EVERYWHERE.items():
        for task in assignment(step).tasks[:2]:
            outcomes = forger_of(step).outcomes([task.id], code, [task.id])
            assert not any(each.score for each in outcomes), (name, task.id)


@on_each_step
def test_the_reference_gets_all_points_from_the_same_worker(step, forger_of):
    for task in assignment(step).tasks:
        outcomes = forger_of(step).outcomes([task.id])
        assert not [f"{each.mark.test}: {each.cause}" for each in outcomes if not each.score]


def test_there_are_many_attacks_on_every_step():
    numbers = [len(forgeries(step)) for step in STEPS]
    assert min(numbers) >= 4
    assert sum(numbers) >= 55

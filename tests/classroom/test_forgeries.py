"""Attacks that rewrite things in the submission's process get the points that they deserve."""

import pytest

from classroom.assignment.spec import assignment
from tests.classroom.forgeries import EVERYWHERE, forgeries
from tests.classroom.forging import Forger

STEPS = ("step1", "step2", "step3", "step4", "step5")


@pytest.fixture(scope="module", params=STEPS)
def forger(request):
    """One worker for all attacks on a step."""
    made = Forger(request.param)
    made.remote.warm()
    yield made
    made.remote.close()


def test_no_attack_is_worth_more_than_it_deserves(forger, monkeypatch):
    monkeypatch.setattr("classroom.grading.callbacks.PATIENCE", 0.3)  # for jobs that nobody will ask for
    wrong = []
    for attack in forgeries(forger.step):
        outcomes = forger.outcomes(attack.id, attack.code)
        got = [f"{each.mark.test} {each.score}" for each in outcomes if each.score]
        broken = [f"{each.mark.test} {each.cause}" for each in outcomes if each.status == "broken"]
        if sum(each.score for each in outcomes) != attack.points or broken:
            told = [f"{each.mark.test}: {each.cause}" for each in outcomes]
            wrong.append((attack.id, attack.name, attack.points, got, broken, told[:3]))
    assert not wrong


def test_the_protocol_can_not_be_made_to_give_points(forger):
    for name, code in EVERYWHERE.items():
        for task in assignment(forger.step).tasks[:2]:
            outcomes = forger.outcomes(task.id, code)
            assert not any(each.score for each in outcomes), (name, task.id)


def test_the_reference_gets_all_points_from_the_same_worker(forger):
    for task in assignment(forger.step).tasks:
        outcomes = forger.outcomes(task.id, "", stub=False)
        assert not [f"{each.mark.test}: {each.cause}" for each in outcomes if not each.score]


def test_there_are_many_attacks_on_every_step():
    numbers = [len(forgeries(step)) for step in STEPS]
    assert min(numbers) >= 4
    assert sum(numbers) >= 55

"""Attacks that rewrite things in the submission's process get the points that they deserve.

forgeries/stepN.txt holds code that runs in the submission first:

    #: 1.5 any rotation         the exercise, what the attack does, and the points that it deserves, if any
    patch("step1_foundations.block:rope", ...)

The exercise itself is a stub before that. Those that deserve points are honest in part: they show that the
corpus would notice points.
"""

from pathlib import Path

import pytest

from classroom.assignment.spec import assignment
from tests.classroom.rubric_helpers import assert_all_pass, points

STEPS = ("step1", "step2", "step3", "step4", "step5")
on_each_step = pytest.mark.parametrize("step", STEPS)
# What no exercise knows of: the worker and the protocol themselves.
EVERYWHERE = {
    "zeros for everything": "patch('classroom.protocol.wire:encode', lambda value, keep=None, depth=0: 0)",
    "nothing is called": "patch('classroom.protocol.wire:reach', lambda value, path: lambda *args: None)",
    "what the grader holds is looked for": """
import gc
gc.collect()  # what an earlier attack made itself, such as a Draw
held = {type(each).__name__ for each in gc.get_objects()} & {"Made", "Meeting", "Draw", "Log", "Remote"}
assert not held, held
""",
}


def forgeries(step):
    """The attacks on a step: exercise, name, the points that it deserves, and code."""
    text = Path(__file__).with_name("forgeries").joinpath(f"{step}.txt").read_text("utf-8")
    for part in text.split("#: ")[1:]:
        head, _, code = part.partition("\n")
        id, *words = head.split()
        deserved = int(words.pop()) if words[-1].isdigit() else 0
        yield id, " ".join(words), deserved, code


@on_each_step
def test_no_attack_is_worth_more_than_it_deserves(step, forger_of, monkeypatch):
    monkeypatch.setattr("classroom.grading.callbacks.PATIENCE", 0.3)  # for jobs that nobody will ask for
    wrong = []
    for id, name, deserved, code in forgeries(step):
        outcomes = forger_of(step).outcomes([id], code, [id])
        if points(outcomes) != deserved:
            told = [(each.mark.test, each.score, each.cause) for each in outcomes]
            wrong.append((id, name, deserved, told))
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
        assert_all_pass(forger_of(step).outcomes([task.id]))


def test_there_are_many_attacks_on_every_step():
    numbers = [len([*forgeries(step)]) for step in STEPS]
    assert min(numbers) >= 4
    assert sum(numbers) >= 55

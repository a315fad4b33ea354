"""What holds for the rubric of every step: points, titles, hints, and a reference that gets all points."""

import pytest

from classroom.assignment.spec import assignment
from tests.classroom.rubric_helpers import (
    assert_all_pass,
    of_learner,
    of_reference,
    of_wrong,
    points,
    stubs,
)

POINTS = {
    "step1": {"1.1": 8, "1.2": 10, "1.3": 8, "1.4": 14, "1.5": 14, "1.6": 18, "1.7": 12, "1.8": 16},
    "step2": {"2.1": 10, "2.2": 10, "2.3": 10, "2.4": 15, "2.5": 15, "2.6": 20, "2.7": 20},
    "step3": {"3.1": 10, "3.2": 10, "3.3": 15, "3.4": 15, "3.5": 20, "3.6": 15, "3.7": 15},
    "step4": {"4.1": 10, "4.2": 15, "4.3": 15, "4.4": 20, "4.5": 20, "4.6": 20},
    "step5": {"5.1": 5, "5.2": 10, "5.3": 10, "5.4": 10, "5.5": 10, "5.6": 15, "5.7": 20, "5.8": 20},
}
on_each_step = pytest.mark.parametrize("step", POINTS)


@on_each_step
def test_the_rubric_is_sound(step):
    tasks = assignment(step).tasks
    assert {each.id: each.exercise.points for each in tasks} == POINTS[step]
    assert sum(POINTS[step].values()) == 100
    for each in tasks:
        titles = {place.title.casefold() for _, place in each.places}  # what a stub says
        assert titles == {each.exercise.title.casefold()}
        public = sum(mark.points for mark in each.exercise.marks if mark.visibility == "public")
        assert 0.2 <= public / each.exercise.points <= 0.4, each.id
    marks = [mark for each in tasks for mark in each.exercise.marks]
    for values in ([mark.test for mark in marks], [mark.line for mark in marks]):
        assert len(values) == len(set(values))


@on_each_step
def test_the_reference_passes_in_a_worker(step):
    assert_all_pass(of_reference(step))


@on_each_step
def test_the_public_tests_pass_in_a_starter(step):
    assert_all_pass(of_learner(step))


@on_each_step
def test_stubs_are_not_attempted(step):
    outcomes = of_wrong(step, stubs(step, POINTS[step]))
    wrong = {name: each.cause for name, each in outcomes.items() if each.status != "not attempted"}
    assert not wrong


@pytest.mark.parametrize(("step", "id"), [(step, id) for step in ("step2", "step4") for id in POINTS[step]])
def test_an_exercise_needs_no_other(step, id):
    others = [other for other in POINTS[step] if other != id]
    assert points(of_wrong(step, stubs(step, others), id)) == POINTS[step][id]

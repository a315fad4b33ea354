"""The rubrics: their points, a reference that gets them all, and what a change of a solution costs.

The changes are in rubric_step1.py to rubric_step5.py.
"""

import gc
import json
import re

import pytest

from classroom.assignment.rubric import rubric_tests
from classroom.assignment.spec import assignment, places_of
from classroom.grading.runner import run_tests
from classroom.grading.submission import Local
from classroom.handout.starter import record
from classroom.rubrics.step5_databases import NoDatabase, select
from tests.classroom.rubric_helpers import assert_all_pass, changes_of, forger_of, points, target_of
from tests.classroom.rubric_step5 import TURN
from tests.conftest import for_long

STEPS = [f"step{n}" for n in range(1, 6)]
on_each_step = pytest.mark.parametrize("step", STEPS)


@on_each_step
def test_the_rubric_is_sound(step):
    made = assignment(step)
    places = places_of([made.step])
    assert sum(each.points for each in made.exercises) == 100
    for each in made.exercises:
        titles = {place.title.casefold() for _, place in places[each.id]}  # what a stub says
        assert titles == {each.title.casefold()}
        assert 0.2 <= sum(mark.points for mark in each.public) / each.points <= 0.4, each.id
    marks = [mark for each in made.exercises for mark in each.marks]
    for values in ([mark.test for mark in marks], [mark.line for mark in marks]):
        assert len(values) == len(set(values))


@on_each_step
def test_the_public_tests_pass_in_a_starter(step):
    """Recorded on the reference, then compared with that."""
    recorded = json.loads(json.dumps(record(step, 1)[0]))
    tests = rubric_tests(step, public_only=True)
    assert_all_pass(run_tests(tests, lambda mark: Local(recorded=recorded[mark.test]), 1, 1))


@on_each_step
def test_stubs_are_not_attempted(step):
    ids = [each.id for each in assignment(step).exercises]
    outcomes = forger_of(step).outcomes(ids, stubs=ids)
    assert not {each.mark.test: each.cause for each in outcomes if each.status != "not attempted"}


@pytest.mark.parametrize("step", ["step2", "step4"])
def test_an_exercise_needs_no_other(step):
    exercises = assignment(step).exercises
    for exercise in exercises:
        others = [each.id for each in exercises if each is not exercise]
        found = points(forger_of(step).outcomes([exercise.id], stubs=others))
        assert found == exercise.points, exercise.id


NAMES = {step: rows if isinstance(rows := changes_of(step), dict) else range(len(rows)) for step in STEPS}


@pytest.mark.parametrize(("step", "name"), [(step, name) for step in STEPS for name in NAMES[step]])
def test_a_mistake_costs_its_points_and_another_right_way_none(step, name, monkeypatch):
    monkeypatch.setattr("classroom.grading.callbacks.PATIENCE", 0.5)  # for jobs that will never meet
    assert forger_of(step).lost(name) == changes_of(step)[name][0]


@for_long("200 seeds; the other tests of the rubrics try one")
@on_each_step
def test_no_seed_makes_the_reference_or_a_driver_fail(step):
    for seed in range(1000, 1200):
        outcomes = run_tests(rubric_tests(step), lambda _mark: Local(), seed, seed)
        assert not [(seed, each.mark.test, each.cause) for each in outcomes if not each.score]


def test_callers_who_never_come_in_are_no_warning(recwarn):
    target = target_of("step5", "_enter")
    code = (
        f"from tests.classroom.rubric_helpers import alter; alter({target!r}, {TURN!r}, 'raise ValueError')"
    )
    forger_of("step5").outcomes(["5.6"], code)
    gc.collect()
    assert not [each for each in recwarn if "never awaited" in str(each.message)]


@pytest.mark.parametrize("call", ["ms LIKE '%a'", "instr(ms, 'a')", "replace(ms, 'a', 'b')"])
def test_a_statement_calls_quick_functions_only(call):
    """The time limit can't stop a slow function: SQLite looks at the clock only between calls."""
    with pytest.raises(NoDatabase, match="not authorized to use function"):
        select(f"SELECT {call} AS p50 FROM measured", "measured", ["ms"], [["aaa"]])


def causes(step, id, code):
    """What is said of this code, by test."""
    return {each.mark.test: each.cause for each in forger_of(step).outcomes([id], code, unseen=False)}


def test_a_loop_that_does_not_stop_or_stops_early_is_told_so():
    target = target_of("step1", "generate")
    alter = f"from tests.classroom.rubric_helpers import alter; alter({target!r}, 'range(max_new_tokens)', "
    early = forger_of("step1").outcomes(["1.7"], alter + "'range(max_new_tokens - 1)')", unseen=False)
    small = next(each for each in early if each.mark.test == "test_write_small")
    assert small.cause.startswith("at ids: ")
    assert "items instead of" in small.cause
    assert re.fullmatch(r"generate\(<.*Scripted>, tensor\(\[\[\d+\]\]\), \d, .*\)\.ids", small.calls[-1].call)
    endless = causes("step1", "1.7", alter + "'range(10 ** 6)')")
    assert "ValueError: the loop did not stop at max_new_tokens" in endless["test_write_small"]


def test_arguments_that_should_have_been_refused_are_told_as_accepted():
    target = target_of("step2", "_arguments_of")
    code = f"from tests.classroom.rubric_helpers import alter; alter({target!r}, ', allow_inf_nan=False', '')"
    assert "at ['verdict']: 'accepted'" in causes("step2", "2.6", code).values()

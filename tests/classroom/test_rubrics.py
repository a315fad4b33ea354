"""The rubrics: their points, a reference that gets them all, and what a change of a solution costs.

The changes are in rubric_step1.py to rubric_step5.py.
"""

import contextlib
import gc
import importlib
import math
from types import SimpleNamespace

import pytest
import torch

from classroom.assignment.rubric import rubric_tests
from classroom.assignment.spec import assignment
from classroom.grading.runner import run_tests
from classroom.grading.submission import Local
from classroom.rubrics.step1_public import GENERATE
from classroom.rubrics.step5_databases import NoDatabase, select
from tests.classroom.rubric_helpers import (
    assert_all_pass,
    lost,
    of_learner,
    of_wrong,
    points,
    stubs,
    written,
)
from tests.classroom.rubric_step5 import TURN
from tests.conftest import for_long

STEPS = [f"step{n}" for n in range(1, 6)]
on_each_step = pytest.mark.parametrize("step", STEPS)


@on_each_step
def test_the_rubric_is_sound(step):
    tasks = assignment(step).tasks
    assert sum(each.exercise.points for each in tasks) == 100
    for each in tasks:
        titles = {place.title.casefold() for _, place in each.places}  # what a stub says
        assert titles == {each.exercise.title.casefold()}
        public = sum(mark.points for mark in each.exercise.marks if mark.visibility == "public")
        assert 0.2 <= public / each.exercise.points <= 0.4, each.id
    marks = [mark for each in tasks for mark in each.exercise.marks]
    for values in ([mark.test for mark in marks], [mark.line for mark in marks]):
        assert len(values) == len(set(values))


@on_each_step
def test_the_public_tests_pass_in_a_starter(step):
    assert_all_pass(of_learner(step))


@on_each_step
def test_stubs_are_not_attempted(step):
    outcomes = of_wrong(step, stubs(step, [each.id for each in assignment(step).tasks]))
    wrong = {name: each.cause for name, each in outcomes.items() if each.status != "not attempted"}
    assert not wrong


@pytest.mark.parametrize("step", ["step2", "step4"])
def test_an_exercise_needs_no_other(step):
    tasks = assignment(step).tasks
    for task in tasks:
        others = stubs(step, [each.id for each in tasks if each is not task])
        assert points(of_wrong(step, others, task.id)) == task.exercise.points, task.id


CHANGES = {step: importlib.import_module(f"tests.classroom.rubric_{step}").CHANGES for step in STEPS}
NAMES = {step: rows if isinstance(rows, dict) else range(len(rows)) for step, rows in CHANGES.items()}


# Whoever waits in vain in a thread of its own is told by an exception there.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("step", "name"), [(step, name) for step in STEPS for name in NAMES[step]])
def test_a_mistake_costs_its_points_and_another_right_way_none(step, name, monkeypatch):
    monkeypatch.setattr("classroom.grading.callbacks.PATIENCE", 0.5)  # for jobs that will never meet
    less, *changes = CHANGES[step][name]
    assert lost(step, *changes) == less


@for_long("200 seeds; the other tests of the rubrics try one")
@on_each_step
def test_no_seed_makes_the_reference_or_a_driver_fail(step):
    for seed in range(1000, 1200):
        outcomes = run_tests(rubric_tests(step), lambda _mark: Local(), seed, seed)
        assert not [(seed, each.mark.test, each.cause) for each in outcomes if not each.score]


def junk_to_the_model(model, *_args, **_kwargs):
    for length in (200, 0):
        with contextlib.suppress(Exception):
            model(torch.zeros(1, length))
    return SimpleNamespace(
        ids=[1.5], stop_reason=None, stop_id="x", prefill_seconds=-1.0, decode_seconds=-1.0
    )


@pytest.mark.parametrize("junk", [(None, "a"), (torch.zeros(3, 2).T, torch.tensor(math.nan))])
def test_junk_is_wrong_and_no_test_breaks_on_it(junk):
    wrong = dict.fromkeys(written("step1"), lambda *_args, **_kwargs: junk)
    outcomes = of_wrong("step1", {**wrong, GENERATE: junk_to_the_model})  # raises where a test is broken
    assert points(outcomes) == 0


def test_callers_who_never_come_in_are_no_warning(recwarn):
    lost("step5", ("_enter", TURN, "raise ValueError"))
    gc.collect()
    assert not [each for each in recwarn if "never awaited" in str(each.message)]


@pytest.mark.parametrize("call", ["ms LIKE '%a'", "instr(ms, 'a')", "replace(ms, 'a', 'b')"])
def test_a_statement_calls_quick_functions_only(call):
    """The time limit can't stop a slow function: SQLite looks at the clock only between calls."""
    with pytest.raises(NoDatabase, match="not authorized to use function"):
        select(f"SELECT {call} AS p50 FROM measured", "measured", ["ms"], [["aaa"]])

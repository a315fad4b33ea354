"""Attacks on the tests of all steps get the points that they deserve, and so do guesses and a recording.

forgeries/stepN.txt holds code that runs in the submission first:

    #: 1.1 any rotation         the exercise, what the attack does, and the points that it deserves, if any
    patch("step1_foundations.block:rope", ...)

The exercise itself is a stub before that. Those that deserve points are honest in part: they show that the
corpus would notice points.
"""

import copy
import itertools
import json
from pathlib import Path

import pytest

from classroom.assignment.rubric import rubric_tests
from classroom.assignment.spec import assignment
from classroom.grading.calls import CallRecord, Raised, raised, reference_copy
from classroom.grading.remote import Remote
from classroom.grading.runner import run_tests
from classroom.grading.submission import KEPT, Made
from classroom.protocol import wire
from shared.errors import UserError
from tests.classroom.rubric_helpers import assert_all_pass, forger_of, in_worker, points, written
from tests.conftest import for_long

STEPS = ("step1", "step2", "step3", "step4", "step5")
on_each_step = pytest.mark.parametrize("step", STEPS)
MANY = ["step3", *(pytest.param(step, marks=for_long("other steps")) for step in STEPS if step != "step3")]
HELD = """
import gc
gc.collect()  # what an earlier attack made itself, such as a Draw
held = {type(each).__name__ for each in gc.get_objects()} & {"Made", "Meeting", "Draw", "Log", "Remote"}
assert not held, held
"""


def forgeries(step):
    """The attacks on a step: exercise, name, the points that it deserves, and code."""
    text = Path(__file__).with_name("forgeries").joinpath(f"{step}.txt").read_text("utf-8")
    for part in text.split("#: ")[1:]:
        head, _, code = part.partition("\n")
        id, *words = head.split()
        deserved = int(words.pop()) if words[-1].isdigit() else 0
        yield id, " ".join(words), deserved, code


@on_each_step
def test_no_attack_is_worth_more_than_it_deserves(step, monkeypatch):
    monkeypatch.setattr("classroom.grading.callbacks.PATIENCE", 0.3)  # for jobs that nobody will ask for
    attacks, wrong = [*forgeries(step)], []
    assert len(attacks) >= 4
    for id, name, deserved, code in attacks:
        outcomes = forger_of(step).outcomes([id], code, [id])
        if points(outcomes) != deserved:
            told = [(each.mark.test, each.score, each.cause) for each in outcomes]
            wrong.append((id, name, deserved, told))
    assert not wrong


@on_each_step
def test_nothing_that_the_grader_holds_is_in_the_worker(step):
    forger_of(step).outcomes([assignment(step).exercises[0].id], HELD)


@on_each_step
def test_the_reference_gets_all_points_from_the_same_worker(step):
    for exercise in assignment(step).exercises:
        assert_all_pass(forger_of(step).outcomes([exercise.id]))


class AnyError(ValueError, TypeError, KeyError, IndexError, RuntimeError, UserError):
    """Is of whatever class a test expects."""


def raise_any(*_args, **_kwargs):
    raise AnyError


def zeros(*args, **_kwargs):
    """An array of zeros in the shape of the first array that was given; without one, 0."""
    return next((each * 0 for each in args if hasattr(each, "shape")), 0)


def argument(n):
    return lambda *args, **kwargs: next(itertools.islice((*args, *kwargs.values()), n, None), None)


def always(value):
    return lambda *_args, **_kwargs: copy.copy(value)


GUESSES = [raise_any, zeros, argument(0), argument(1)]
GUESSES += [always(value) for value in (None, 0, 1.0, True, False, "", [], {}, ())]


class Replying(Remote):
    """A forged worker: whatever is asked of it, also by a driver, the reply is the same guess."""

    def ask(self, request):
        self.calls.append(CallRecord(request.what, ""))
        if request.do in KEPT:
            return Made(self, request.what)
        try:
            args = [None if isinstance(each, Made) else reference_copy(each) for each in request.args]
            return wire.neutral(self.guess(*args))
        except AnyError as error:
            raise raised(error) from None


@pytest.mark.parametrize("guess", range(len(GUESSES)))
@pytest.mark.parametrize("step", MANY)
def test_no_guess_gets_a_point(step, guess):
    """Neither as the function that an exercise asks for, nor as the reply to every request."""
    replying = in_worker(step, Replying)
    replying.guess = GUESSES[guess]
    outcomes = run_tests(rubric_tests(step), lambda _mark: replying, 1, 1)
    for id in {*written(step).values()}:
        targets = [target for target, of in written(step).items() if of == id]
        code = f"from {__name__} import GUESSES\n"
        code += f"for target in {targets}: patch(target, GUESSES[{guess}])"
        outcomes += forger_of(step).outcomes([id], code)
    assert points(outcomes) == 0


class Recording(Remote):
    """The reference, and by test all that was expected of it."""

    def begin(self, mark):
        super().begin(mark)
        self.expectations = self.by_test.setdefault(mark.test, [])

    def compare(self, request, how):
        self.text = how.text
        return super().compare(request, how)

    def expected(self, reference, got):
        value = super().expected(reference, got)
        if isinstance(value, Raised):
            self.expectations.append(f"{value.kinds[0]} {value.text if self.text else ''}")
        else:
            self.expectations.append(wire.encode(value, keep=lambda _: 0))
        return value


@pytest.mark.parametrize("step", MANY)
def test_what_is_expected_depends_on_the_seed(step):
    """A submission that controls its process could replay a recording: with another seed, it is wrong."""
    recordings = []
    for seed in (11, 22, 33):
        submission = in_worker(step, Recording)
        submission.by_test = {}
        assert_all_pass(run_tests(rubric_tests(step), lambda _mark, it=submission: it, seed, seed))
        submission.close()
        recordings.append({test: json.dumps(each) for test, each in submission.by_test.items() if each})
    assert [test for test in recordings[0] if len({each[test] for each in recordings}) == 1] == []

"""Points for nothing: no test of a rubric is passed by a function that knows nothing, nor by a recording."""

import functools
import itertools
import json

import pytest

from classroom.assignment.rubric import rubric_tests
from classroom.grading.calls import CallRecord, Raised, raised, reference_copy
from classroom.grading.comparing import KEPT
from classroom.grading.runner import run_tests
from classroom.grading.submission import Made
from classroom.protocol import wire
from shared.errors import UserError
from tests.classroom.rubric_helpers import Patched, written
from tests.conftest import for_long

STEPS = ["step3", *(pytest.param(f"step{n}", marks=for_long("other steps")) for n in (1, 2, 4, 5))]


class Everything(ValueError, TypeError, KeyError, IndexError, RuntimeError, UserError):
    """Is of the class that is expected, wherever one is."""


def raises(*_args, **_kwargs):
    raise Everything


def nothing_of_it(*args, **_kwargs):
    """An array of the same shape, all zeros; else 0."""
    return next((each * 0 for each in args if hasattr(each, "shape")), 0)


def first(*args, **kwargs):
    return next(itertools.chain(args, kwargs.values()), None)


def second(*args, **kwargs):
    return next(itertools.islice((*args, *kwargs.values()), 1, None), None)


CONSTANTS = (None, 0, 1, 0.0, 1.0, True, False, "", [], {}, ())
GUESSES = [raises, nothing_of_it, first, second]
GUESSES += [
    functools.partial(
        lambda value, *_args, **_kwargs: type(value)(value) if value is not None else None, value
    )
    for value in CONSTANTS
]


def run(step, submission, seed, only=None):
    tests = [test for test in rubric_tests(step) if only in (None, test.mark.id)]
    return run_tests(tests, lambda _mark: submission, seed, seed)


@pytest.mark.parametrize("step", STEPS)
def test_no_function_that_knows_nothing_gets_a_point(step):
    found = []
    for id in sorted({*written(step).values()}):
        targets = [target for target, of in written(step).items() if of == id]
        for number, guess in enumerate(GUESSES):
            outcomes = run(step, Patched(wrong=dict.fromkeys(targets, guess)), 5, id)
            found += [f"{each.mark.test} by guess {number}" for each in outcomes if each.score]
    assert not found


class Replying(Patched):
    """Whatever is asked of it, a driver's transcript too: the same guess. So a forger of replies does it."""

    def __init__(self, guess):
        super().__init__()
        self.guess = guess

    def ask(self, request):
        self.calls.append(CallRecord(request.what, ""))
        if request.do in KEPT:
            return Made(self, request.what)
        try:
            args = [None if isinstance(each, Made) else reference_copy(each) for each in request.args]
            return wire.neutral(self.guess(*args))
        except Everything as error:
            raise raised(error) from None


@pytest.mark.parametrize("step", STEPS)
def test_no_reply_that_is_always_the_same_gets_a_point(step):
    found = []
    for number, guess in enumerate(GUESSES):
        outcomes = run(step, Replying(guess), 5)
        assert not [each for each in outcomes if each.status == "broken"]
        found += [f"{each.mark.test} by guess {number}" for each in outcomes if each.score]
    assert not found


class Recording(Patched):
    """The reference, and all that was expected of it."""

    def __init__(self):
        super().__init__()
        self.by_test = {}

    def begin(self, mark):
        super().begin(mark)
        self.heard = self.by_test.setdefault(mark.test, [])

    def compare(self, request, how):
        self.text = how.text
        return super().compare(request, how)

    def expected(self, reference, got):
        value = super().expected(reference, got)
        if isinstance(value, Raised):
            self.heard.append(f"{value.kinds[0]} {value.text if self.text else ''}")
        else:
            self.heard.append(wire.encode(value, keep=lambda _: 0))
        return value


@pytest.mark.parametrize("step", STEPS)
def test_what_is_expected_depends_on_the_seed(step):
    """Whoever controls the process can answer with what was recorded: there must be nothing to record."""
    recordings = []
    for seed in (11, 22, 33):
        submission = Recording()
        outcomes = run(step, submission, seed)
        assert all(each.score for each in outcomes)
        recordings.append({test: json.dumps(heard) for test, heard in submission.by_test.items() if heard})
    same = [test for test in recordings[0] if len({each[test] for each in recordings}) == 1]
    assert not same

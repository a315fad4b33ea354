"""A function that knows nothing passes no rubric test, and neither does a recording."""

import copy
import itertools
import json
from typing import Any

import pytest

from classroom.grading.calls import CallRecord, Raised, raised, reference_copy
from classroom.grading.remote import Remote
from classroom.grading.submission import KEPT, Made
from classroom.protocol import wire
from shared.errors import UserError
from tests.classroom.rubric_helpers import assert_all_pass, in_worker, points, run, written
from tests.conftest import for_long

STEPS = ["step3", *(pytest.param(f"step{n}", marks=for_long("other steps")) for n in (1, 2, 4, 5))]


class AnyError(ValueError, TypeError, KeyError, IndexError, RuntimeError, UserError):
    """Is of whatever class a test expects."""


def raise_any(*_args, **_kwargs):
    raise AnyError


def zeros(*args, **_kwargs):
    """An array of zeros in the shape of the first array that was given; without one, 0."""
    return next((each * 0 for each in args if hasattr(each, "shape")), 0)


def first(*args, **kwargs):
    return next(itertools.chain(args, kwargs.values()), None)


def second(*args, **kwargs):
    return next(itertools.islice((*args, *kwargs.values()), 1, None), None)


def always(value):
    return lambda *_args, **_kwargs: copy.copy(value)


GUESSES = [raise_any, zeros, first, second]
GUESSES += [always(value) for value in (None, 0, 1.0, True, False, "", [], {}, ())]


class Replying(Remote):
    """A forged worker: whatever is asked of it, also by a driver, the reply is the same guess."""

    guess: Any

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
@pytest.mark.parametrize("step", STEPS)
def test_no_guess_gets_a_point(step, guess, forger_of):
    """Neither as the function that an exercise asks for, nor as the reply to every request."""
    replying = in_worker(step, Replying)
    replying.guess = GUESSES[guess]
    outcomes = run(step, lambda _mark: replying)
    for id in {*written(step).values()}:
        targets = [target for target, of in written(step).items() if of == id]
        code = "from tests.classroom.test_guesses import GUESSES\n"
        code += f"for target in {targets}: patch(target, GUESSES[{guess}])"
        outcomes += forger_of(step).outcomes([id], code)
    assert points(outcomes) == 0


class Recording(Remote):
    """The reference, and by test all that was expected of it."""

    by_test: dict[str, list[Any]]

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


@pytest.mark.parametrize("step", STEPS)
def test_what_is_expected_depends_on_the_seed(step):
    """A submission that controls its process could replay a recording: with another seed, it is wrong."""
    recordings = []
    for seed in (11, 22, 33):
        submission = in_worker(step, Recording)
        submission.by_test = {}
        assert_all_pass(run(step, lambda _mark, it=submission: it, seed=seed))
        submission.close()
        recordings.append({test: json.dumps(each) for test, each in submission.by_test.items() if each})
    assert [test for test in recordings[0] if len({each[test] for each in recordings}) == 1] == []

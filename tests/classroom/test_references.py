"""Whatever is drawn, no test of a rubric stumbles, and no reference raises what no exercise asks for."""

import os

import pytest

from classroom.assignment.rubric import rubric_tests
from classroom.grading.runner import run_tests
from classroom.grading.submission import Local

SEEDS = 200 if os.environ.get("TESTS_FOR_LONG") else 1


@pytest.mark.parametrize("step", ["step1", "step2", "step3", "step4", "step5"])
def test_no_seed_makes_the_reference_or_a_driver_fail(step):
    for seed in range(1000, 1000 + SEEDS):
        outcomes = run_tests(rubric_tests(step), lambda _mark: Local(), seed, seed, depends=False)
        assert not [(seed, each.mark.test, each.cause) for each in outcomes if not each.score]

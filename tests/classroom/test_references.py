"""Whatever is drawn, no test of a rubric stumbles, and no reference raises what no exercise asks for."""

import pytest

from classroom.assignment.rubric import rubric_tests
from classroom.grading.runner import run_tests
from classroom.grading.submission import Local
from tests.conftest import for_long

SEEDS = range(1000, 1200)


@for_long("200 seeds; the rubrics' own tests try one")
@pytest.mark.parametrize("step", ["step1", "step2", "step3", "step4", "step5"])
def test_no_seed_makes_the_reference_or_a_driver_fail(step):
    for seed in SEEDS:
        outcomes = run_tests(rubric_tests(step), lambda _mark: Local(), seed, seed)
        assert not [(seed, each.mark.test, each.cause) for each in outcomes if not each.score]

"""Whatever is drawn, no test of a rubric stumbles, and no reference raises what no exercise asks for."""

import os

import pytest

from classroom.assignment.quiet import quietly
from classroom.assignment.rubric import files_of
from classroom.grading.plugin import RubricPlugin
from classroom.grading.submission import Local

SEEDS = 200 if os.environ.get("TESTS_FOR_LONG") else 2


@pytest.mark.parametrize("step", ["step1", "step2", "step3", "step4", "step5"])
def test_no_seed_makes_the_reference_or_a_driver_fail(step):
    files = [*map(str, files_of(step))]
    for seed in range(1000, 1000 + SEEDS):
        running = RubricPlugin(lambda _mark: Local(), seed, seed, depends=False)
        quietly(files, [running])
        assert not running.problems
        assert not [(seed, each.mark.test, each.cause) for each in running.outcomes if not each.score]

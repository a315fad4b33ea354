"""The expected values of the public tests, recorded from the reference: tests/expected.json.

    {"schema": "classroom/expected/v1", "variant": 7, "tests": {"test_rrf_small": [{"value": ...}, ...]}}

A learner has no reference to compare with, so `Local` takes these values, in the order of a test's checks.
The inputs are drawn from the variant, so another variant has other values.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.assignment.rubric import Mark, rubric_tests
from classroom.grading.runner import run_tests
from classroom.grading.submission import CallRecord, Local

SCHEMA = "classroom/expected/v1"


@dataclass(frozen=True)
class Expected:
    """The values by test."""

    variant: int
    tests: dict[str, list[Any]]

    def local(self, mark: Mark) -> Local:
        """The learner's own code, for this test."""
        return Local(recorded=self.tests.get(mark.test, []))

    def to_json(self) -> str:
        told = {"schema": SCHEMA, "variant": self.variant, "tests": self.tests}
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        return text.replace('"test_', '\n"test_') + "\n"

    @classmethod
    def load(cls, path: Path) -> Expected:
        """Read what was recorded."""
        told = json.loads(path.read_text("utf-8"))
        if told.get("schema") != SCHEMA:
            raise ValueError(f"not a {SCHEMA}")
        return cls(told["variant"], told["tests"])


def record(step: str, variant: int) -> tuple[Expected, dict[str, list[CallRecord]]]:
    """Run the public tests on the reference: the values, and the calls by exercise.

    Raises:
        RuntimeError: the reference fails its own test.
    """
    locals_: dict[str, Local] = {}
    tests = rubric_tests(step, public_only=True)
    outcomes = run_tests(tests, lambda mark: locals_.setdefault(mark.test, Local()), 0, variant)
    for wrong in outcomes:
        if not wrong.score:
            raise RuntimeError(f"{wrong.mark.test} fails on the reference: {wrong.cause}")
    examples: dict[str, list[CallRecord]] = {}
    for outcome in outcomes:
        examples.setdefault(outcome.mark.id, []).extend(outcome.calls)
    return Expected(variant, {test: local.record for test, local in locals_.items()}), examples

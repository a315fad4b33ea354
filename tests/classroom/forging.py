"""Attackers on the real rubrics, many in one worker: what one of them changes is put back for the next.

    Forger("step1").outcomes("1.5", "patch('step1_foundations.block:rope', lambda x, base: x)")

An attack is code that runs in the submission's own process, before a test calls anything. What the exercise
asks for stands there as a stub; the attack may `patch` whatever it likes: drivers, the worker, libraries.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from classroom.assignment.rubric import Mark, rubric_tests
from classroom.assignment.spec import PRELOAD, ROOT, assignment
from classroom.grading.remote import Remote
from classroom.grading.runner import TestOutcome, run_tests
from classroom.isolation import open_worker
from tests.classroom.rubric_helpers import not_attempted, places_of, written

OURS = ("shared", "step", "classroom")  # how the names of our modules begin
DONE: list[tuple[Any, str, Any]] = []  # in the worker: what was changed, and its old value


class Forger:
    """One worker for all attacks on a step; after an attack that kills it, the next one gets a fresh one."""

    def __init__(self, step: str) -> None:
        self.step = step
        preload = PRELOAD.get(assignment(step).step, ())
        self.remote = Remote(start=lambda: open_worker(ROOT, "rlimits"), preload=preload)
        self.tests = rubric_tests(step)
        self.solutions = written(step)

    def outcomes(self, id: str, code: str, seed: int = 7, stub: bool = True) -> list[TestOutcome]:
        """How the tests of an exercise end."""
        self.remote.begin(Mark("attack", id, 1, 60, "hidden", "x"))
        stubs = [target for target, of in self.solutions.items() if stub and of == id]
        self.remote.call("tests.classroom.forging:load", textwrap.dedent(code), id, stubs)
        tests = [test for test in self.tests if test.mark.id == id]
        return run_tests(tests, lambda _mark: self.remote, seed, seed, unseen=True)


# --- in the worker ----------------------------------------------------------------------------------------


def load(code: str, id: str, stubs: Sequence[str]) -> None:
    """Put everything back, take the solution of the exercise out, and run the attack."""
    while DONE:
        holder, name, before = DONE.pop()
        setattr(holder, name, before)

    for target in stubs:
        patch(target, not_attempted(id))  # one for each: `patch` replaces a function everywhere
    exec(code, {"patch": patch})


def patch(target: str, value: Any) -> None:
    """Replace `module:name.name`, under all names that our modules have for it."""
    places = places_of({target: value}, OURS)
    before = places[0][2]
    if isinstance(before, property | staticmethod) and not isinstance(value, type(before)):
        value = type(before)(value)
    for holder, name, before, _value in places:
        DONE.append((holder, name, before))
        setattr(holder, name, value)

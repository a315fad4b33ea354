"""Attackers on the real rubrics, many in one worker: what one of them changes is put back for the next.

    with Forger() as forger:
        forger.points("1.5", "patch('step1_foundations.block:rope', lambda x, base: x)")

An attack is code that runs in the submission's own process, before a test calls anything. What the exercise
asks for stands there as a stub; the attack may `patch` whatever it likes: drivers, the worker, libraries.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, Self

from classroom.assignment.rubric import Mark, rubric_tests
from classroom.assignment.spec import PRELOAD, assignment
from classroom.grading.remote import Remote
from classroom.grading.runner import TestOutcome, run_tests
from tests.classroom.rubric_helpers import Plain

OURS = ("shared", "step", "classroom")  # how the names of our modules begin
DONE: list[tuple[Any, str, Any]] = []  # in the worker: what was changed, and its old value


class Forger:
    """One worker for all attacks on a step; after an attack that kills it, the next one gets a fresh one."""

    def __init__(self, step: str) -> None:
        self.step = step
        preload = PRELOAD.get(assignment(step).step, ())
        self.remote = Remote(start=lambda: Plain(), preload=preload)
        self.tests = rubric_tests(step)
        self.targets = {task.id: list(_targets(task)) for task in assignment(step).tasks}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.remote.close()

    def outcomes(self, id: str, code: str, seed: int = 7, stub: bool = True) -> list[TestOutcome]:
        """How the tests of an exercise end."""
        self.remote.begin(Mark("attack", id, 1, 60, "hidden", "x"))
        given = (textwrap.dedent(code), id, self.targets[id] if stub else [])
        self.remote.call("tests.classroom.forging:load", *given)
        tests = [test for test in self.tests if test.mark.id == id]
        return run_tests(tests, lambda _mark: self.remote, seed, seed, unseen=True)


def _targets(task: Any) -> Sequence[str]:
    """The functions of an exercise, as importable names; for a nested function, the outer one."""
    found = []
    for file, place in task.places:
        module = file.removesuffix(".py").replace("/", ".")
        holder: Any = importlib.import_module(module)
        names = []
        for name in place.function.split("."):
            holder = inspect.getattr_static(holder, name, None)
            if holder is None:
                break
            names.append(name)
        found.append(f"{module}:{'.'.join(names)}" if names else f"{module}:build")
    return found


# --- in the worker ----------------------------------------------------------------------------------------


def load(code: str, id: str, stubs: Sequence[str]) -> None:
    """Put everything back, take the solution of the exercise out, and run the attack."""
    while DONE:
        holder, name, before = DONE.pop()
        setattr(holder, name, before)

    for target in stubs:

        def stub(*_args: Any, **_kwargs: Any) -> Any:  # one for each: `patch` replaces a function everywhere
            raise NotImplementedError(f"exercise {id}: a stub")

        patch(target, stub)
    exec(code, {"patch": patch})


def patch(target: str, value: Any) -> None:
    """Replace `module:name.name`, under all names that our modules have for it."""
    module, _, path = target.partition(":")
    holder: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for each in outer:
        holder = getattr(holder, each)
    before = holder.__code__ if name == "__code__" else inspect.getattr_static(holder, name, None)
    if isinstance(before, property) and not isinstance(value, property):
        value = property(value)
    if isinstance(before, staticmethod):
        value = staticmethod(value)
    places = [(holder, name)]
    if callable(before) and not outer:
        ours = [each for known, each in list(sys.modules.items()) if known.startswith(OURS)]
        places += [(each, key) for each in ours for key, found in vars(each).items() if found is before]
    for place, key in places:
        DONE.append((place, key, before))
        setattr(place, key, value)

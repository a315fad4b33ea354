"""Run a step's rubric against the reference, and against submissions that are wrong in a known way.

    of_learner("step3")                                                  its public tests, as in a starter
    of_wrong("step3", {"step3_rag.retrieve.fuse:rrf": from_rank_0})      a function in place of the right one
    lost("step3", ("rrf", "ranked(scores), 1", "ranked(scores), 0"))     10: the points of its exercise

The first two give the outcomes (see grading/runner.py) by the name of the test. A wrong function stands in
for the right one wherever a step, `shared` or a driver holds it, as in a real submission, but only while the
submission is called: the reference that it is compared with stays right. `Class.method` may be replaced, too,
and so may a constant. A change is a function by the name of what learners write, or that name with an old and
a new text of its source.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from classroom.assignment.rubric import Mark, rubric_tests
from classroom.assignment.spec import assignment
from classroom.grading.calls import Request, find, outcome
from classroom.grading.runner import TestOutcome, run_tests
from classroom.grading.submission import Local, Made, Submission

OURS = ("shared", "step", "classroom.drivers")  # how the names of our modules begin

Outcomes = dict[str, TestOutcome]
Wrong = Mapping[str, Any]  # target: what stands there in the submission
Change = tuple[str, str, str] | dict[str, Any]  # name, old and new text; or what stands there
Places = list[tuple[Any, str, Any, Any]]  # where a name stands, the name, what is right, what is wrong


def places_of(wrong: Wrong, ours: tuple[str, ...] = OURS) -> Places:
    """Every name that our modules have for what is wrong."""
    found: Places = []
    modules = {target: importlib.import_module(target.partition(":")[0]) for target in wrong}
    loaded = [module for known, module in list(sys.modules.items()) if known.startswith(ours)]
    for target, other in wrong.items():
        holder: Any = modules[target]
        *outer, name = target.partition(":")[2].split(".")
        for each in outer:
            holder = getattr(holder, each)
        right = holder.__code__ if name == "__code__" else inspect.getattr_static(holder, name, None)
        found.append((holder, name, right, other))
        if callable(right):
            names = [(each, key) for each in loaded for key, value in vars(each).items() if value is right]
            found += [(each, key, right, other) for each, key in names]
    return found


@contextlib.contextmanager
def swapped(places: Places) -> Iterator[None]:
    """What is wrong stands where the right one is."""
    for place, key, _right, other in places:
        setattr(place, key, other)
    try:
        yield
    finally:
        for place, key, right, _other in reversed(places):
            setattr(place, key, right)


@dataclass
class Patched(Local):
    """The reference's own code in this process, but for what is wrong."""

    wrong: Wrong = field(default_factory=dict)
    _loaded: int = 0  # modules, when places were looked for
    _places: Places = field(default_factory=list)

    def begin(self, mark: Mark) -> None:
        super().begin(mark)
        self.reveal = mark.visibility == "public"

    def ask(self, request: Request) -> Any:
        with self.changed():
            return super().ask(replace(request, args=_here(request.args), kwargs=_here(request.kwargs)))

    def changed(self) -> contextlib.AbstractContextManager[None]:
        if self._loaded != len(sys.modules):
            self._places = places_of(self.wrong)
            self._loaded = len(sys.modules)
        return swapped(self._places)

    def expected(self, reference: Callable[[], Any], got: Any) -> Any:
        return outcome(reference)

    def twin(self, reference: Callable[[], Any]) -> Any:
        return reference()


def _here(value: Any) -> Any:
    """Arguments for the submission: of what was made before, its own object and not the twin."""
    if isinstance(value, Made):
        return replace(value, reference=None)
    if type(value) in (list, tuple):
        return type(value)(map(_here, value))
    return {key: _here(each) for key, each in value.items()} if type(value) is dict else value


def altered(target: str, old: str, new: str) -> dict[str, Any]:
    """The reference's function with one place of its source changed, as {target: function}."""
    function = find(target)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{source.count(old)} times in {target}: {old}"
    source = f"from __future__ import annotations\n{source.replace(old, new)}"
    space: dict[str, Any] = {}
    # It sees what its module has, also what is swapped there.
    exec(source, vars(sys.modules[function.__module__]), space)
    return {target: space[function.__name__]}


@cache
def written(step: str) -> dict[str, str]:
    """What learners write, and the exercise that asks for it; of a function within another one, that one."""
    found = {}
    for task in assignment(step).tasks:
        for file, place in task.places:
            target = f"{file.removesuffix('.py').replace('/', '.')}:{place.function}"
            while not _exists(target):
                target = target.rpartition(".")[0]
            found[target] = task.id
    return found


def _exists(target: str) -> bool:
    try:
        find(target)
    except AttributeError:
        return False
    return True


def not_attempted(id: str) -> Callable[..., Any]:
    """A stub, as it stands in a starter."""

    def stub(*_args: Any, **_kwargs: Any) -> Any:
        raise NotImplementedError(f"exercise {id}: a stub")

    return stub


def stubs(step: str, ids: Container[str]) -> dict[str, Any]:
    """These exercises, as nobody has begun them."""
    made = {}
    for target, id in written(step).items():
        if id in ids:
            stub = not_attempted(id)
            made[target] = property(stub) if isinstance(find(target), property) else stub
    return made


def of_wrong(step: str, wrong: Wrong, only: str | None = None) -> Outcomes:
    """The tests of a step, or of one exercise, against a submission that is wrong in these places."""
    return run(step, lambda _mark: Patched(wrong=wrong), only)


def of_learner(step: str) -> Outcomes:
    """The public tests as they run in a starter: recorded on the reference, then compared with that."""
    first = Local()
    assert_all_pass(run(step, lambda _mark: first, public_only=True))
    second = Local(recorded=json.loads(json.dumps(first.record)))
    return run(step, lambda _mark: second, public_only=True)


def run(
    step: str,
    open_: Callable[[Mark], Submission],
    only: str | None = None,
    public_only: bool = False,
    seed: int = 1,
) -> Outcomes:
    """The tests of a step, or of one exercise, none of which may be broken."""
    tests = [test for test in rubric_tests(step, public_only) if only in (None, test.mark.id)]
    outcomes = run_tests(tests, open_, seed, seed)
    assert not [f"{each.mark.test}: {each.cause}" for each in outcomes if each.status == "broken"]
    return {each.mark.test: each for each in outcomes}


def points(outcomes: Outcomes) -> int:
    """The points of all tests that were run."""
    return sum(each.score for each in outcomes.values())


def lost(step: str, *changes: Change) -> int:
    """The points that an exercise loses by changes to what it asks for."""
    targets = {target.rpartition(":")[2].rpartition(".")[2]: target for target in written(step)}
    wrong = {}
    for each in changes:
        if isinstance(each, dict):
            wrong |= {targets[name]: value for name, value in each.items()}
        else:
            name, old, new = each
            wrong |= altered(targets[name], old, new)
    id = written(step)[next(iter(wrong))]
    outcomes = of_wrong(step, wrong, id)
    return sum(each.mark.points for each in outcomes.values()) - points(outcomes)


def assert_all_pass(outcomes: Outcomes) -> None:
    assert outcomes
    failed = {test: f"{each.status}: {each.cause}" for test, each in outcomes.items() if not each.score}
    assert not failed, failed

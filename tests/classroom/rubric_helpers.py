"""Run a step's rubric against the reference, and against submissions that are wrong in a known way.

    assert_sound("step3")                                   100 points, titles, hints, public and hidden tests
    assert_all_pass(of_reference("step3"))                  the reference, in a worker of its own
    assert_all_pass(of_learner("step3"))                    its public tests, as they run in a starter
    outcomes = of_wrong("step3", {"step3_rag.retrieve.fuse:rrf": from_rank_0}, "3.1")
    assert lost(outcomes) == {"test_rrf", "test_rrf_small"}
    assert points(outcomes, "3.1") == 0

    of_wrong("step3", altered("step3_rag.retrieve.fuse:rrf", "ranked(scores), 1", "ranked(scores), 0"), "3.1")

All give the outcomes (see grading/runner.py) by the name of the test. A wrong function stands in for the
right one wherever a step, `shared` or a driver holds it, as in a real submission, but only while the
submission is called: the reference that it is compared with stays right. `Class.method` may be replaced, too,
and so may a constant. A stub is `not_attempted("3.1")`.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import site
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from classroom.assignment.rubric import Exercise, Mark, read, rubric_tests
from classroom.grading.calls import find, outcome
from classroom.grading.made import Request
from classroom.grading.remote import Remote
from classroom.grading.runner import TestOutcome, run_tests
from classroom.grading.submission import Here, Local, Made, Submission

ROOT = Path(__file__).parents[2]
OURS = ("shared", "step", "classroom.drivers")  # how the names of our modules begin

Outcomes = dict[str, TestOutcome]
Wrong = Mapping[str, Any]  # target: what stands there in the submission


# --- a submission in a process, without a sandbox ---------------------------------------------------------


class Plain:
    """A worker without a sandbox: for the reference, which may be trusted."""

    level, safe = "none", False

    def __init__(self, tree: Path = ROOT) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                str(ROOT / "classroom" / "protocol" / "worker.py"),
                str(tree),
                *site.getsitepackages(),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "ROADMAP_HUB": "false"},
        )
        assert self._process.stdin
        assert self._process.stdout
        self.stdin, self.stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self.stdin, False)
        os.set_blocking(self.stdout, False)

    def broken(self) -> str | None:
        return None

    def why_ended(self) -> str:
        return f"exit {self._process.wait()}: {self.output()[-500:]}"

    def output(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def close(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()
        self._log.close()


# --- a submission in this process, wrong in places --------------------------------------------------------


Places = list[tuple[Any, str, Any, Any]]  # where a name stands, the name, what is right, what is wrong


def places_of(wrong: Wrong) -> Places:
    """Every name that our modules have for what is wrong."""
    found: Places = []
    modules = {target: importlib.import_module(target.partition(":")[0]) for target in wrong}
    loaded = [module for known, module in list(sys.modules.items()) if known.startswith(OURS)]
    for target, other in wrong.items():
        holder: Any = modules[target]
        *outer, name = target.partition(":")[2].split(".")
        for each in outer:
            holder = getattr(holder, each)
        right = vars(holder)[name]
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
class Patched(Here):
    """The reference's own code in this process, but for what is wrong."""

    wrong: Wrong = field(default_factory=dict)
    _loaded: int = 0  # modules, when places were looked for
    _places: Places = field(default_factory=list)

    def begin(self, mark: Mark) -> None:
        super().begin(mark)
        self.reveal = mark.visibility == "public"

    def ask(self, request: Request) -> Any:
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
    exec(source, function.__globals__, space)  # it sees what its module has, also what is swapped there
    return {target: space[function.__name__]}


def not_attempted(id: str) -> Callable[..., Any]:
    """A stub, as it stands in a starter."""

    def stub(*_args: Any, **_kwargs: Any) -> Any:
        raise NotImplementedError(f"exercise {id}: a stub")

    return stub


# --- runs -------------------------------------------------------------------------------------------------


def of_reference(step: str, seed: int = 1, tree: Path = ROOT) -> Outcomes:
    """All tests of a step against a tree, by default this repository, in a plain worker."""
    remote = Remote(start=lambda: Plain(tree))
    try:
        return _run(step, lambda _mark: remote, seed)
    finally:
        remote.close()


def of_wrong(step: str, wrong: Wrong, only: str | None = None, seed: int = 1) -> Outcomes:
    """The tests of a step, or of one exercise, against a submission that is wrong in these places."""
    return _run(step, lambda _mark: Patched(wrong=wrong), seed, only)


def of_learner(step: str, seed: int = 1) -> Outcomes:
    """The public tests as they run in a starter: recorded on the reference, then compared with that."""
    first = Local()
    recorded = _run(step, lambda _mark: first, seed, public_only=True)
    assert_all_pass(recorded)
    second = Local(recorded=json.loads(json.dumps(first.record)))
    return _run(step, lambda _mark: second, seed, public_only=True)


def _run(
    step: str,
    open_: Callable[[Mark], Submission],
    seed: int,
    only: str | None = None,
    public_only: bool = False,
) -> Outcomes:
    tests = [test for test in rubric_tests(step, public_only) if only in (None, test.mark.id)]
    outcomes = run_tests(tests, open_, seed, seed)
    broken = [f"{each.mark.test}: {each.cause}" for each in outcomes if each.status == "broken"]
    assert not broken, broken
    return {each.mark.test: each for each in outcomes}


# --- what came of it --------------------------------------------------------------------------------------


def points(outcomes: Outcomes, id: str | None = None) -> int:
    """The points of an exercise, or of all."""
    return sum(each.score for each in outcomes.values() if id in (None, each.mark.id))


def lost(outcomes: Outcomes) -> set[str]:
    """The tests that gave no points."""
    return {test for test, each in outcomes.items() if not each.score}


def assert_all_pass(outcomes: Outcomes) -> None:
    assert outcomes
    failed = {test: f"{each.status}: {each.cause}" for test, each in outcomes.items() if not each.score}
    assert not failed, failed


@cache
def rubric(step: str) -> list[Exercise]:
    """The exercises of a step."""
    return read(step)


def assert_sound(step: str) -> None:
    """What holds for the rubric of every step."""
    exercises = rubric(step)
    marks = [mark for each in exercises for mark in each.marks]
    assert sum(each.points for each in exercises) == 100
    assert 5 <= len(exercises) <= 8
    names = [mark.test for mark in marks]
    assert len(names) == len(set(names)), "two tests have the same name"
    lines = [mark.line for mark in marks]
    assert len(lines) == len(set(lines)), "two tests have the same rubric line"
    for each in exercises:
        assert (
            sum(bool(mark.title) for mark in each.marks) == sum(bool(mark.hint) for mark in each.marks) == 1
        ), each.id
        public = sum(mark.points for mark in each.marks if mark.visibility == "public")
        assert 0.2 <= public / each.points <= 0.4, f"{each.id}: {public} of {each.points} points are public"

"""Run a step's rubric against the reference, and against submissions that are wrong in a known way.

    forger = forger_of("step3")                one worker for many wrong submissions
    forger.outcomes(["3.2"], "patch('step3_rag.evaluate.metrics:ndcg', lambda ranking, qrels, k: 1.0)")
    forger.lost("ranks from 0")                10: the points that a change of rubric_step3.py costs

Wrong code runs in the submission's own process, before a test calls anything, and may `patch` whatever it
likes: what learners write, constants, drivers, the worker, libraries. All of it is put back for the next one.
At the end: submissions of a few lines, and their tests.
"""

import importlib
import inspect
import sys
import textwrap
import time
from functools import cache

from classroom.assignment.rubric import Mark, RubricTest, mark_of, rubric_tests
from classroom.assignment.spec import PRELOAD, ROOT, assignment, classroom_files, places_of, write_files
from classroom.grading.calls import find
from classroom.grading.remote import Remote
from classroom.grading.runner import run_tests
from classroom.isolation import Limits, open_worker

OURS = ("shared", "step", "classroom")  # how the names of our modules begin
LIMITS = Limits(memory=8 << 30, disk=1 << 30, files=1 << 16, cpu_seconds=3600)  # of many submissions
DONE = []  # in the worker: what was changed, and its old value


@cache
def written(step):
    """What learners write, and the exercise that asks for it."""
    return {
        f"{file.removesuffix('.py').replace('/', '.')}:{place.function}": id
        for id, places in places_of([assignment(step).step]).items()
        for file, place in places
    }


def target_of(step, name):
    """Where the function of this name stands that learners write."""
    [found] = [target for target in written(step) if target.replace(":", ".").rpartition(".")[2] == name]
    return found


def changes_of(step):
    """Changes of a step's solutions by name: the points that they cost, then what is changed.

    That is an old and a new text in the source of a function, or what stands in its place.
    """
    return importlib.import_module(f"tests.classroom.rubric_{step}").CHANGES


def in_worker(step, kind=Remote):
    """The reference in a worker, which may be trusted."""
    preload = PRELOAD.get(assignment(step).step, ())
    return kind(start=lambda: open_worker(ROOT, "rlimits", LIMITS), preload=preload)


class Forger:
    """One worker for all that is wrong with a step; after one that kills it, the next gets a fresh one."""

    def __init__(self, step):
        self.step = step
        self.remote = in_worker(step)
        self.tests = rubric_tests(step)

    def outcomes(self, ids, code="", stubs=(), seed=7, unseen=True):
        """How the tests of exercises end, where `stubs` are not begun and this code has run."""
        self.remote.begin(Mark("attack", next(iter(ids)), 1, 60, "hidden", "x"))
        stand_ins = {target: id for target, id in written(self.step).items() if id in stubs}
        self.remote.call("tests.classroom.rubric_helpers:load", textwrap.dedent(code), stand_ins)
        tests = [test for test in self.tests if test.mark.id in ids]
        return run_tests(tests, lambda _mark: self.remote, seed, seed, unseen=unseen)

    def lost(self, name):
        """The points that an exercise loses by a change to what it asks for."""
        _, first, *_ = changes_of(self.step)[name]
        id = written(self.step)[target_of(self.step, next(iter(first)))]
        code = f"from tests.classroom.rubric_helpers import change; change({self.step!r}, {name!r})"
        outcomes = self.outcomes([id], code, seed=1, unseen=False)
        return sum(each.mark.points for each in outcomes) - points(outcomes)


@cache
def forger_of(step):
    """One for each step, for all tests; its worker ends with this process."""
    return Forger(step)


def load(code, stubs):
    """In the worker: put everything back, put stubs in the place of solutions, and run the code."""
    while DONE:
        holder, name, before = DONE.pop()
        setattr(holder, name, before)
    for target, id in stubs.items():
        patch(target, not_attempted(id))
    exec(code, {"patch": patch})


def not_attempted(id):
    """A stub, as it stands in a starter; one for each function, since `patch` replaces it everywhere."""

    def stub(*_args, **_kwargs):
        raise NotImplementedError(f"exercise {id}: a stub")

    return stub


def patch(target, value):
    """In the worker: replace `module:name.name`, under all names that our modules have for it."""
    holder = importlib.import_module(target.partition(":")[0])
    *outer, name = target.partition(":")[2].split(".")
    for each in outer:
        holder = getattr(holder, each)
    before = holder.__code__ if name == "__code__" else inspect.getattr_static(holder, name, None)
    if isinstance(before, property | staticmethod) and not isinstance(value, type(before)):
        value = type(before)(value)
    places = [(holder, name)]
    if callable(before):
        ours = [module for known, module in list(sys.modules.items()) if known.startswith(OURS)]
        places += [(each, key) for each in ours for key, known in vars(each).items() if known is before]
    for holder, name in places:
        DONE.append((holder, name, before))
        setattr(holder, name, value)


def change(step, name):
    """In the worker: make a change to what learners write."""
    for each in changes_of(step)[name][1:]:
        if isinstance(each, dict):
            for short, value in each.items():
                patch(target_of(step, short), value)
        else:
            short, old, new = each
            alter(target_of(step, short), old, new)


def alter(target, old, new):
    """In the worker: change one place of a function's source."""
    function = find(target)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{source.count(old)} times in {target}: {old}"
    source = f"from __future__ import annotations\n{source.replace(old, new)}"
    space = {}
    exec(source, vars(sys.modules[function.__module__]), space)  # it sees what its module has
    patch(target, space[function.__name__])


def points(outcomes):
    """The points of these tests, none of which may be broken."""
    assert not [f"{each.mark.test}: {each.cause}" for each in outcomes if each.status == "broken"]
    return sum(each.score for each in outcomes)


def assert_all_pass(outcomes):
    assert outcomes
    failed = {each.mark.test: f"{each.status}: {each.cause}" for each in outcomes if not each.score}
    assert not failed, failed


def mark(timeout=10):
    """The mark of a hidden test."""
    return Mark("test_x", "3.1", 1, timeout, line="x")


def rubric_of(source):
    """The tests of a rubric that is not in rubrics/."""
    space = {}
    exec(source, space)
    return [RubricTest(mark_of(each), each) for name, each in space.items() if name.startswith("test_")]


def tree(folder, fuse=""):
    """A tree with the worker, and with this code as the submission's retrieve/fuse.py."""
    files = {f"step3_rag/{name}.py": b"" for name in ("__init__", "retrieve/__init__")}
    files["step3_rag/retrieve/fuse.py"] = textwrap.dedent(fuse).encode()
    write_files(folder, files | classroom_files("protocol/*.py"))
    return folder


def wait_for(what, seconds=3):
    """Whether something holds after some seconds at most."""
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(what())

"""Small submissions, called as a hidden test would call them.

Forged replies and broken files are in the corpus: hostile/.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from classroom.grading.calls import WorkerFailure, Wrong, reference_copy
from classroom.grading.remote import Remote, Unready
from classroom.grading.runner import judged
from classroom.grading.submission import Local
from classroom.isolation import open_worker
from classroom.protocol.wire import Record, Reference
from tests.classroom.rubric_helpers import mark, tree

RRF = "step3_rag.retrieve.fuse:rrf"
RANKINGS = [{"a": 2.0, "b": 1.0}, {"b": 3.0}]
RIGHT = "def rrf(rankings, k=60):\n    fused = {}\n    for scores in rankings:\n"
RIGHT += "        for rank, each in enumerate(sorted(scores, key=lambda each: -scores[each]), 1):\n"
RIGHT += "            fused[each] = fused.get(each, 0.0) + 1 / (k + rank)\n    return fused\n"


@pytest.fixture
def made_of(tmp_path, request):
    """made_of("def rrf(rankings, k=60): ...", timeout=2): a Remote whose retrieve.fuse is this code."""

    def make(code, timeout=10):
        where = tree(Path(tempfile.mkdtemp(dir=tmp_path)), fuse=code)
        remote = Remote(start=lambda: open_worker(where, "rlimits"))
        remote.begin(mark(timeout))
        request.addfinalizer(remote.close)
        return remote

    return make


CALLER = """
import threading
def rrf(ask, how):
    if how == "often":
        while True: ask(1)
    if how == "much":
        while True: ask("x" * 200_000)
    if how == "at once":
        ask("x" * 1_000_000)
    if how == "threads":
        got = []
        threads = [threading.Thread(target=lambda i=i: got.append(ask(i))) for i in range(20)]
        for each in threads: each.start()
        for each in threads: each.join()
        return sorted(got)
    if how == "fails":
        try: ask("no")
        except ValueError as error: return str(error)
    if how == "object":
        return ask(object())
    if how == "left over":
        threading.Timer(0.2, lambda: ask(1)).start()
"""


def test_functions_of_the_grader_stay_with_it(made_of):
    asked = []

    def ask(value):
        asked.append(value)
        if value == "no":
            raise ValueError("not this one")
        return [value]

    remote = made_of(CALLER, timeout=2)
    assert remote.call(RRF, ask, "threads") == [[i] for i in range(20)]
    assert sorted(asked) == list(range(20))
    assert remote.call(RRF, ask, "fails") == "not this one"
    assert isinstance(remote.call(RRF, ask, "object")[0], Reference)
    remote.begin(mark(timeout=2))
    assert remote.call(RRF, ask, "left over") is None
    time.sleep(0.4)  # a thread that was left over asks now, gets no answer, and does no harm
    assert remote.call(RRF, ask, "threads")
    remote.begin(mark(timeout=1))
    with pytest.raises(WorkerFailure, match="too long"):  # though it is never silent
        remote.call(RRF, ask, "often")


def test_who_says_too_much_is_ended(made_of, monkeypatch):
    monkeypatch.setattr("classroom.grading.lines.MAX_SENT", 5_000_000)
    remote = made_of(CALLER)
    with pytest.raises(WorkerFailure, match="said too much"):
        remote.call(RRF, lambda _value: None, "much")
    remote.begin(mark())
    with pytest.raises(WorkerFailure, match="called back with too much"):
        remote.call(RRF, lambda _value: None, "at once")
    with pytest.raises(WorkerFailure, match="for more than can be sent"):
        remote.call(RRF, lambda _value: "x" * 5_000_000, "fails")


def test_a_test_that_stumbles_over_what_it_was_given_is_no_bug_of_the_grader(made_of):
    remote = made_of("def rrf(rankings, k=60):\n    return None")
    got = remote.call(RRF, RANKINGS)
    with pytest.raises(TypeError) as error:
        sum(got.values() if got else got)
    assert judged(error.value, remote.unchecked) == ("failed", "what it gave can't be used (TypeError)")
    remote.begin(mark())
    assert judged(error.value, remote.unchecked)[0] == "broken"


EVIL = """
from dataclasses import make_dataclass
def rrf(named, place):
    kind = make_dataclass("system", ["command"])
    kind.__module__, kind.__qualname__ = named
    return kind("touch " + place)
"""
NAMED = [
    ("os", "system"),
    ("builtins", "eval"),
    ("shared.cli", "os.system"),
    ("shared.cli", "run"),
    ("step3_rag.retrieve.fuse", "rrf"),
    ("step3_rag.retrieve.fuse", "__builtins__"),
    ("step3_rag.nowhere", "Thing"),
    ("step3_rag/../os", "system"),
    ("tests.classroom.rubric_helpers", "mark"),
    ("classroom.grading.grade", "grade"),
]


def test_a_type_that_a_submission_names_is_not_called(made_of, tmp_path):
    """A test may hand on what it was given; the reference must not make of it what the submission says."""
    remote, place = made_of(EVIL), tmp_path / "touched"
    for named in NAMED:
        got = remote.call(RRF, named, str(place))
        assert isinstance(got, Record), named
        for value in (got, [got], {"a": (got,)}):
            with pytest.raises(Wrong):
                reference_copy(value)
    assert not place.exists()


def test_a_command_that_a_submission_names_is_not_imported(monkeypatch):
    monkeypatch.setattr("classroom.grading.calls.find", pytest.fail)
    with pytest.raises(Wrong, match="can't be an argument"):
        reference_copy(Record("step3_rag.__main__:app", {}))


def test_data_of_a_step_may_be_handed_on():
    source = Record(
        "step3_rag.answer.context:Source",
        {"number": 1, "document": "a", "place": "b", "text": "c", "chunks": (1,)},
    )
    made = reference_copy([source])[0]
    assert type(made).__name__ == "Source"
    assert made.text == "c"
    with pytest.raises(Wrong, match="other fields"):
        reference_copy(Record("step3_rag.answer.context:Source", {"command": "ls"}))


def test_imports_that_kill_or_hang_are_tried_once(made_of, monkeypatch):
    for code, status in (("import os; os._exit(3)", "crashed"), ("while True: pass", "timed out")):
        remote = made_of(code)
        assert remote.call("math:sqrt", 4) == 2  # its process has started
        monkeypatch.setattr("classroom.grading.remote.IMPORT_SECONDS", 0.7)
        with pytest.raises(WorkerFailure, match=r"importing step3_rag\.retrieve\.fuse") as fault:
            remote.check(RRF, RANKINGS)
        assert judged(fault.value)[0] == status
        monkeypatch.setattr("classroom.grading.remote.IMPORT_SECONDS", 60)
        began = time.monotonic()
        with pytest.raises(WorkerFailure, match="importing"):
            remote.check(RRF, RANKINGS)
        assert time.monotonic() - began < 30


def test_a_worker_that_cannot_be_started_is_nobodys_zero(tmp_path):
    def refuse():
        raise OSError("no processes left")

    remote = Remote(start=refuse)
    with pytest.raises(Unready, match="no processes left"):
        remote.warm()
    where = tree(tmp_path, fuse=RIGHT)
    remote = Remote(start=lambda: open_worker(where, "rlimits"), preload=("no_such_library",))
    remote.warm()
    remote.begin(mark())
    with pytest.raises(Unready, match="no_such_library"):
        remote.check(RRF, RANKINGS)


def test_a_later_worker_that_cannot_be_started_is_a_fault(tmp_path):
    where = tree(tmp_path, fuse="import os\ndef rrf(rankings, k=60): os._exit(1)")
    boxes = [open_worker(where, "rlimits")]
    remote = Remote(start=lambda: boxes.pop())
    remote.begin(mark())
    with pytest.raises(WorkerFailure, match="exit"):
        remote.check(RRF, RANKINGS)
    with pytest.raises(WorkerFailure, match="no fresh process"):
        remote.check(RRF, RANKINGS)


def test_local_compares_with_what_was_recorded():
    learner = Local(recorded=[{"value": 3}])
    with pytest.raises(Wrong, match="instead of"):
        learner.check(RRF, RANKINGS)
    with pytest.raises(Wrong, match="more checks"):
        learner.check(RRF, RANKINGS)
    array = np.ones(2)
    assert reference_copy([array])[0] is not array

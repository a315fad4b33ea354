"""One submission is graded: whatever it does, in bounded time, with a valid result and the cause."""

import json
import time

import pytest

from classroom.assignment import rubric
from classroom.assignment.rubric import Exercise
from classroom.assignment.spec import Assignment
from classroom.gradebook.grade_class import jobs_that_fit
from classroom.grading import grade as grading
from classroom.grading.calls import WorkerFailure, outcome
from classroom.grading.draw import Draw
from classroom.grading.grade import grade
from shared.errors import UserError
from tests.classroom.rubric_helpers import rubric_of
from tests.classroom.test_submission import RIGHT

TESTS = '''
import pytest
RRF = "step3_rag.retrieve.fuse:rrf"
SCALED = "step3_rag.retrieve.fuse:scaled"

@pytest.mark.rubric("3.1", points=3, visibility="public", timeout={timeout})
def test_small(submission, draw):
    """Two rankings."""
    for _ in range(3):
        submission.check(RRF, [{{name: draw.random() for name in draw.words(3)}} for _ in range(2)])

@pytest.mark.rubric("3.1", points=7, timeout={timeout})
def test_large(submission, draw):
    """Any rankings."""
    for _ in range(3):
        submission.check(RRF, [{{name: draw.random() for name in draw.words(9)}}], k=draw.randint(1, 9))

@pytest.mark.rubric("3.3", points=5, timeout={timeout})
def test_scaled(submission, draw):
    """From 0 to 1."""
    submission.check(SCALED, {{name: draw.random() for name in draw.words(9)}})
    {more}
'''


@pytest.fixture
def graded(tmp_path, monkeypatch):
    """graded(code, ...): the result of a retrieve/fuse.py under three small tests."""
    monkeypatch.setattr(grading, "PRELOAD", {})

    def run(code=None, timeout=10, more="", **options):
        own = rubric_of(TESTS.format(timeout=timeout, more=more))
        marks = [test.mark for test in own]
        exercises = [
            Exercise(
                id, "", [], ["step3_rag/retrieve/fuse.py"], [], [each for each in marks if each.id == id]
            )
            for id in ("3.1", "3.3")
        ]
        made = Assignment("step3_rag", "Step 3", (), "", tuple(exercises))
        monkeypatch.setattr(grading, "assignment_of", lambda _step: made)
        monkeypatch.setattr(grading, "rubric_tests", lambda _step: own)
        folder = tmp_path / "ada" / "step3_rag" / "retrieve"
        folder.mkdir(parents=True, exist_ok=True)
        if code is not None:
            (folder / "fuse.py").write_text(code)
        return grade(tmp_path / "ada", "step3", **{"seed": 1, "isolation": "rlimits", **options})

    return run


SCALED = "def scaled(scores):\n    low, high = min(scores.values()), max(scores.values())\n"
SCALED += "    return {each: (score - low) / (high - low) for each, score in scores.items()}\n"


def statuses(result):
    return {test.name: test.status for item in result.items for test in item.tests}


def test_points_by_exercise(graded):
    result = graded(RIGHT + SCALED)
    assert (result.score, result.points) == (15, 15), result
    assert [(item.id, item.status) for item in result.items] == [("3.1", "passed"), ("3.3", "passed")]
    assert (result.seed, result.variant, result.isolation, result.safe) == (1, 0, "rlimits", False)
    assert "not safe" in result.notes[-1]


def test_a_table_of_the_public_answers_is_not_enough(graded):
    """Learners know the public inputs, with what is expected: the test is run on others, too."""
    draw = Draw(0, "test_small")
    known = [sorted({name: draw.random() for name in draw.words(3)}) for _ in range(6)]
    code = f"{RIGHT}\nright = rrf\ndef rrf(rankings, k=60):\n"
    code += f"    return right(rankings, k) if sorted(rankings[0]) in {known!r} else {{}}\n"
    small = graded(code).items[0].tests[0]
    assert small.status == "failed"
    assert [(call.got, call.expected) for call in small.calls] == [("{}", None)]


def test_part_of_the_points(graded):
    result = graded(RIGHT.replace("def rrf(rankings, k=60):", "def rrf(rankings, k=0):\n    k = 60"))
    assert statuses(result) == {"test_small": "passed", "test_large": "failed", "test_scaled": "failed"}
    assert (result.score, result.items[0].status) == (3, "partial")
    large, scaled = result.items[0].tests[1], result.items[1].tests[0]
    assert large.calls[0].call.startswith("rrf([{")
    assert large.calls[0].expected is None
    assert "instead of" not in large.cause
    assert "AttributeError" in scaled.cause


def test_time_is_bounded_for_each_test_and_for_all(graded):
    loop = "def rrf(rankings, k=60):\n    while True: pass"
    began = time.monotonic()
    result = graded(loop, timeout=0.3)
    assert statuses(result)["test_large"] == "timed out"
    result = graded(loop, timeout=60, seconds=1.5)
    assert time.monotonic() - began < 25
    assert statuses(result) == dict.fromkeys(["test_small", "test_large", "test_scaled"], "timed out")
    assert result.items[0].tests[1].cause == "no time left"


def test_the_grader_does_not_hang_where_it_gets_stuck_itself(graded, monkeypatch):
    monkeypatch.setattr(grading, "GRACE", 0.0)
    began = time.monotonic()
    result = graded(RIGHT + SCALED, more="while True: pass", seconds=3)
    assert time.monotonic() - began < 60
    assert statuses(result)["test_scaled"] == "timed out"
    assert result.score == 10


def test_inputs_come_from_the_seed_and_from_a_variant_that_was_given_out(graded, tmp_path):
    wrong = "def rrf(rankings, k=60):\n    return {}\n"

    def calls(result):
        return [test.calls[0].call for test in result.items[0].tests]

    first, second = graded(wrong), graded(wrong, seed=2)
    assert [bool(test.calls[0].expected) for test in first.items[0].tests] == [True, False]  # public, hidden
    assert calls(first) == calls(graded(wrong))
    assert calls(first)[0] == calls(second)[0]  # a public one
    assert calls(first)[1] != calls(second)[1]
    (tmp_path / "ada" / "classroom.json").write_text('{"variant": 7}')
    own = graded(wrong, variants=(0, 7))
    assert own.variant == 7
    assert calls(own)[0] != calls(first)[0]
    other = graded(wrong, variants=(3,))
    assert other.variant == 3
    assert "says it is of variant 7" in other.notes[0]


def test_a_fault_of_the_grader_is_noted_or_an_error_and_not_a_zero(graded, tmp_path, monkeypatch):
    result = graded(RIGHT + SCALED, more="raise KeyError('oh')")
    assert statuses(result)["test_scaled"] == "broken"
    assert "the test test_scaled is broken, a fault of the grader: KeyError: 'oh'" in result.notes

    def refuse(_tree, _level):
        raise OSError("no room")

    monkeypatch.setattr(grading, "open_worker", refuse)
    with pytest.raises(UserError, match="nothing was graded: OSError: no room"):
        graded(RIGHT)
    monkeypatch.setattr(rubric, "files_of", lambda *_: [tmp_path / "broken.py"])
    with pytest.raises(UserError, match=r"broken.py: ModuleNotFoundError: No module named"):
        rubric.rubric_tests("a step")


def test_the_tree_holds_the_files_of_the_submission_and_no_solution(graded, tmp_path):
    spy = "import os\ndef rrf(rankings, k=60):\n    raise ValueError(' '.join(sorted(os.listdir({}))))\n"
    tree = "os.path.dirname(os.path.dirname(os.path.dirname(__file__)))"
    folder = tmp_path / "ada"
    (folder / "step3_rag" / "ingest").mkdir(parents=True)
    for name in ("conftest.py", "sitecustomize.py", "random.py", "step3_rag/ingest/chunk.py"):
        (folder / name).write_text("raise SystemExit('run')")
    assert "ValueError: classroom shared step3_rag" in graded(spy.format(tree)).items[0].cause
    inside = graded(spy.format(f"{tree} + '/classroom'")).items[0].cause
    assert "ValueError: __init__.py drivers protocol" in inside
    assert graded(RIGHT).items[0].score == 10
    spy = "from step3_rag.evaluate import metrics as m\n"
    spy += "def rrf(rankings, k=60):\n    return m.ndcg(['a'], {'a': 1})\n"
    assert statuses(graded(spy))["test_large"] == "not attempted"


def test_the_command_shows_and_writes(graded, monkeypatch, tmp_path, command):
    result = graded(RIGHT + SCALED)
    monkeypatch.setattr(grading, "grade", lambda *_, **__: result)
    line, out = ("classroom", "grade", str(tmp_path / "ada"), "--step", "step3"), tmp_path / "result.json"
    got = command(*line)
    assert got.code == 0
    assert "ada: 15 of 15 points" in got.out
    assert "NOT SAFE" in got.out
    assert json.loads(command(*line, "--json").out)["score"] == 15
    got = command(*line, "--out", str(out))
    assert got.out.endswith(f"written to {out}\n")
    assert json.loads(out.read_text())["schema"] == "classroom/result/v1"
    command(*line, "--out", str(tmp_path / "report.md"))
    assert (tmp_path / "report.md").read_text().startswith("# step3")


def test_the_command_refuses_what_it_cannot_do(refused, tmp_path):
    (tmp_path / "ada").mkdir()
    ada = str(tmp_path / "ada")
    assert "no step 'step9'" in refused("classroom", "grade", ada, "--step", "step9")
    assert "no submission" in refused("classroom", "grade", ada + "x", "--step", "step3")
    assert "no such isolation: hope" in refused(
        "classroom", "grade", ada, "--step", "step3", "--isolation", "hope"
    )
    for out in (ada, f"{ada}/a/b"):
        assert "name a file" in refused("classroom", "grade", ada, "--step", "step3", "--out", out)
    assert "--step" in refused("classroom", "grade", ada)


def test_the_memory_of_the_grader_is_bounded():
    with pytest.raises(MemoryError), grading.bounded(256 << 20):
        bytearray(1 << 30)
    assert len(bytearray(1 << 30)) == 1 << 30
    assert [jobs_that_fit(gib << 30) for gib in (1, 8, 24)] == [1, 2, 8]


def test_no_time_and_no_memory_are_not_answers_of_the_reference():
    for error in (MemoryError(), WorkerFailure("late", timed_out=True)):
        with pytest.raises(type(error)):
            outcome(lambda error=error: (_ for _ in ()).throw(error).__next__())

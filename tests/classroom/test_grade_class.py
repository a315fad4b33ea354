"""A class is graded: whatever one submission does, the others get their results, and no work is done twice.

Most tests run a stand-in for the grader, which does what the submission says; a real class is at the end.
"""

import csv
import io
import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from classroom.assignment.spec import assignment, sources, write_files
from classroom.demo import samples
from classroom.gradebook import grade_class as class_run
from classroom.gradebook import jobs as class_jobs
from classroom.gradebook import statistics, table
from classroom.gradebook.attempts import Attempt
from classroom.gradebook.grade_class import ClassOptions, run
from classroom.gradebook.roster import Person
from classroom.gradebook.table import Graded
from classroom.grading import draw
from shared.errors import UserError
from tests.classroom.results import BROKEN, FULL, NOT_ATTEMPTED, PARTIAL, RRF, SMALL, ended, item
from tests.classroom.rubric_helpers import wait_for

FILE = "step3_rag/retrieve/fuse.py"  # one that is handed in
# Stands in for `python -m classroom grade`: the submission's file is a program of the test's.
STAND_IN = """
import json, os, subprocess, sys, time
from pathlib import Path
submission, out, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def leave(score):
    from tests.classroom.results import FULL, PARTIAL
    made = {20: FULL, 13: PARTIAL}[score].to_dict()
    out.write_text(json.dumps({**made, "seed": seed, "submission": "what the file is called"}))
with open(out.parent.parent / "graded.txt", "a") as log:
    log.write(submission.name + "\\n")
exec((submission / "step3_rag" / "retrieve" / "fuse.py").read_text())
"""


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Grade with the stand-in. It returns a function: which were graded since its last call."""

    def command(made, attempt, folder):
        out = folder / f"{attempt.key}.json"
        return [sys.executable, "-c", STAND_IN, str(attempt.path), str(out), str(made.seed)]

    monkeypatch.setattr(class_run, "_command", command)
    monkeypatch.setattr(class_run, "chosen", lambda wanted: (wanted or "sandlock", True))
    monkeypatch.setattr(class_run, "_grader", lambda _assignment: "this version")
    monkeypatch.setattr(class_run.tempfile, "tempdir", str(tmp_path))

    def graded():
        log = tmp_path / "graded.txt"
        names = sorted(log.read_text().split()) if log.exists() else []
        log.unlink(missing_ok=True)
        return names

    return graded


def hand_in(folder, **programs):
    write_files(folder, {f"{name}/{FILE}": program.encode() for name, program in programs.items()})
    return folder


def options(tmp_path, **kwargs):
    kwargs = {"jobs": 2, **kwargs}
    return ClassOptions(folder=tmp_path / "in", step="step3", home=tmp_path / "out", **kwargs)


def runs(pid):
    """Whether a process does: a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def by_name(made):
    return {each.attempt.name: each for each in made.graded}


def test_one_that_crashes_hangs_or_lies_stops_no_other(tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(class_run, "OVERHEAD", -class_run.GRACE * 2)
    monkeypatch.setattr(class_jobs, "PATIENCE", 0.5)
    hangs = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
(submission.parents[1] / "pids").write_text(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""
    hand_in(
        tmp_path / "in",
        ada="leave(20)",
        bob="sys.exit('error: no worker can be started')",
        cleo=hangs,
        dan="os.kill(os.getpid(), 9)",
        eve='out.write_text(\'{"schema": "classroom/result/v1", "score": 100}\')',
        gus="leave(13)",
    )
    began = time.monotonic()
    made = run(options(tmp_path, seconds=3))
    assert time.monotonic() - began < 60
    found = by_name(made)
    assert [name for name, each in found.items() if not each.by_hand] == ["ada", "gus"]
    assert (found["ada"].result.score, found["gus"].result.score) == (20, 13)
    causes = {name: each.result.items[0].cause for name, each in found.items()}
    assert causes["bob"] == "the grading process ended with exit code 1: no worker can be started"
    assert causes["cleo"] == "grading took more than 3 s, and was ended"
    assert causes["dan"] == "the grading process ended with SIGKILL"
    assert causes["eve"] == "the grading process left no result"
    bob = found["bob"].result
    assert [each.status for each in bob.items] == ["broken"] * 7
    assert (bob.points, bob.submission) == (100, "bob")
    assert bob.notes[0].startswith("to be looked at by hand: the grading process ended")
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert wait_for(lambda: not any(map(runs, pids)), 30)  # a process goes a moment after its signal


LATE = """
from dataclasses import replace
from tests.classroom.results import FULL, RRF, SMALL, ended, fusion
slow = replace(FULL, items=(fusion(ended(SMALL, "timed out", ""), RRF), FULL.items[1]))
tried = submission / "tried"
leave(20) if tried.exists() else out.write_text(json.dumps({**slow.to_dict(), "seed": seed}))
tried.touch()
"""


def test_what_timed_out_beside_others_is_graded_again_alone(tmp_path, stand_in):
    hand_in(tmp_path / "in", ada=LATE, bob="leave(20)")
    made = run(options(tmp_path, jobs=2))
    assert stand_in() == ["ada", "ada", "bob"]
    ada = by_name(made)["ada"].result
    assert ada.score == 20
    assert ada.notes[-1] == "a test timed out beside other submissions: this is the second grading, alone"
    assert run(options(tmp_path, jobs=2)).graded[0].result == ada
    assert stand_in() == []


def test_what_timed_out_beside_others_is_no_last_word_if_it_is_stopped_then(tmp_path, stand_in, monkeypatch):
    def grade(made, attempts, at_once, told):
        if at_once == 1:
            raise KeyboardInterrupt
        return _grade(made, attempts, at_once, told)

    hand_in(tmp_path / "in", ada=LATE, bob="leave(20)")
    _grade = class_run._grade
    monkeypatch.setattr(class_run, "_grade", grade)
    with pytest.raises(KeyboardInterrupt):
        run(options(tmp_path, jobs=2))
    assert stand_in() == ["ada", "bob"]
    monkeypatch.setattr(class_run, "_grade", _grade)
    assert by_name(run(options(tmp_path, jobs=2)))["ada"].result.score == 20
    assert stand_in() == ["ada"]


def test_only_what_changed_or_failed_is_graded_again_with_the_first_seed(tmp_path, stand_in, monkeypatch):
    below = iter((1, 2))
    monkeypatch.setattr(draw.secrets, "randbelow", lambda end: end - next(below))
    folder = hand_in(tmp_path / "in", ada="leave(20)", bob="sys.exit(3)", cleo="leave(13)")
    first = run(options(tmp_path))
    assert stand_in() == ["ada", "bob", "cleo"]
    hand_in(folder, cleo="leave(20)", dan="leave(13)")
    second = run(options(tmp_path))
    assert stand_in() == ["bob", "cleo", "dan"]
    assert second.seed == first.seed == 2**53 - 1  # too many to be tried out, and yet a number of JSON
    assert [name for name, each in by_name(second).items() if each.again] == ["bob", "cleo", "dan"]
    assert by_name(second)["ada"].result == by_name(first)["ada"].result
    assert by_name(second)["cleo"].result.score == 20
    assert json.loads((tmp_path / "out" / "class.json").read_text())["seed"] == first.seed
    assert all(each.result.seed == first.seed for each in second.graded if not each.by_hand)


def test_a_result_is_kept_until_something_that_it_depends_on_changes(tmp_path, stand_in):
    folder, given = hand_in(tmp_path / "in", ada="leave(20)"), options(tmp_path, seed=4)
    run(given)
    assert stand_in() == ["ada"]
    (folder / "ada" / "notes.txt").write_text("dear diary")  # which the grader does not read
    os.utime(folder / "ada" / FILE, (1, 1))
    made = run(given)
    assert made.graded[0].again is False
    assert stand_in() == []
    attempt = made.graded[0].attempt
    hashes = {
        class_run._hash(made, attempt, "this version"),
        class_run._hash(made, attempt, "the next version"),
        class_run._hash(replace(made, seed=5), attempt, "this version"),
        class_run._hash(replace(made, isolation="rlimits"), attempt, "this version"),
        class_run._hash(replace(made, options=replace(given, variants=(0, 7))), attempt, "this version"),
        class_run._hash(replace(made, options=replace(given, seconds=60.0)), attempt, "this version"),
    }
    assert len(hashes) == 6


def test_the_grader_is_its_code_and_the_reference(tmp_path, monkeypatch):
    a = assignment("step3")
    files, read = sources(a.packages), class_run.classroom_files
    before = class_run._grader(a)

    def without_words(*patterns):  # from which inputs are drawn
        return {name: each for name, each in read(*patterns).items() if not name.endswith("words.txt")}

    with monkeypatch.context() as other:
        other.setattr(class_run, "classroom_files", without_words)
        assert class_run._grader(a) != before
    (tmp_path / "fuse.py").write_text("another reference")
    monkeypatch.setattr(class_run, "sources", lambda _packages: {**files, FILE: tmp_path / "fuse.py"})
    assert class_run._grader(a) != before


def test_what_can_not_be_graded_is_refused_before_anything_is(tmp_path, monkeypatch):
    import filelock

    hand_in(tmp_path / "in", ada="leave(20)")
    for wrong, words in (
        ({"step": "step9"}, "there is no step"),
        ({"isolation": "jail"}, "no such isolation: jail"),
        ({"deadline": "01.12.2026"}, "is not a time: write it like"),
        ({"deadline": ""}, "is not a time"),
        ({"extensions": tmp_path}, "--extensions moves a deadline"),
        ({"home": tmp_path / "out" / ".." / "in"}, "holds the submissions: name another --out"),
    ):
        with pytest.raises(UserError, match=words):
            run(replace(options(tmp_path), **wrong))
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(class_run, "chosen", lambda _wanted: ("sandlock", True))
    seeds = tmp_path / "out" / "class.json"
    seeds.parent.mkdir()
    another = '{"step": "step1_foundations", "seed": 1}'
    for text, words in ((another, "holds results of step1_foundations"), ("{", "class.json can't be read")):
        seeds.write_text(text)
        with pytest.raises(UserError, match=words):
            run(options(tmp_path))
    with filelock.FileLock(tmp_path / "out" / ".lock"), pytest.raises(UserError, match="another grade-class"):
        run(options(tmp_path))


def test_when_it_is_stopped_it_keeps_what_is_there_and_says_how_to_go_on(tmp_path, stand_in, command):
    hand_in(tmp_path / "in", ada="leave(20)", bob="Path(sys.argv[2] + '.at').touch(); time.sleep(600)")
    others, below = psutil.Process().children(recursive=True), []

    def stop():
        wait_for(lambda: any(tmp_path.rglob("*.at")), 60)
        below.extend(set(psutil.Process().children(recursive=True)) - {*others})
        os.kill(os.getpid(), signal.SIGTERM)  # as Ctrl-C

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=stop).start()
    try:
        got = command("classroom", "grade-class", f"{tmp_path}/in", "--step", "step3", "--jobs", "1")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert got.code == 130
    assert "1 of 2 are graded and kept in" in got.err
    assert "the same command goes on from there" in got.err
    assert below
    assert not any(runs(each.pid) for each in below)
    home = tmp_path / "in-graded"
    assert [path.name for path in (home / "results").iterdir()] == ["ada.json"]
    assert not (home / "class.csv").exists()


def graded(name, result, number=1, late=None, **kwargs):
    person = Person(name, name, **kwargs)
    return Graded(Attempt(person, number, Path(f"{name}.zip"), name), result, late)


def parsed(rows):
    return list(csv.reader(io.StringIO(table.text(rows))))


def test_the_table_of_the_class():
    rows = table.rows([graded("ada", PARTIAL, late=0), graded("gus", BROKEN, late=150)])
    header, ada, gus = parsed(rows)
    of_ada, of_gus = (dict(zip(header, row, strict=True)) for row in (ada, gus))
    assert header[-4:] == ["3.1", "3.2", "isolation", "notes"]
    assert (of_ada["score"], of_ada["points"], of_ada["3.1"], of_ada["3.2"]) == ("13", "20", "3", "10")
    assert (of_ada["status"], of_ada["late"], of_ada["seconds late"]) == ("graded", "no", "0")
    assert (of_gus["status"], of_gus["score"], of_gus["3.1"], of_gus["3.2"]) == ("by hand", "", "", "10")
    assert (of_gus["late"], of_gus["seconds late"]) == ("yes", "150")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "  =", "＝"])
def test_no_cell_is_a_formula(start):
    name = f"{start}HYPERLINK(1)"
    result = replace(FULL, notes=(name,))
    for rows in (
        table.rows([graded(name, result)]),
        table.canvas([graded(name, result)], name, 20),
        table.moodle([graded(name, result)], 20),
        statistics.rows(statistics.of_class([replace(result, items=(item("3.1", name, SMALL),))])),
    ):
        cells = [cell for row in parsed(rows) for cell in row if "HYPERLINK" in cell]
        assert cells
        assert all(cell.startswith("'") for cell in cells)


def test_the_files_for_canvas_and_moodle_are_what_their_importers_read():
    assert table.text([[-0.12, -3, 0, None, "-0.12"]]) == "-0.12,-3,0,,'-0.12\n"
    ada = graded("Ada Lovelace", FULL, id="123")
    who = [ada, graded("Gus", BROKEN), graded("Bob", PARTIAL)]
    assert parsed(table.moodle(who[:2], 20)) == [
        [*table.MOODLE],
        ["Participant 123", "Ada Lovelace", "", "20", "20", ""],
    ]
    assert parsed(table.canvas(who, "Retrieval (77)", 20)) == [
        ["Student", "ID", "SIS Login ID", "Section", "Retrieval (77)"],
        ["Points Possible", "", "", "", "20"],
        ["Ada Lovelace", "123", "", "", "20"],
        ["Gus", "", "", "", ""],  # to be looked at: the score in Canvas stays
        ["Bob", "", "", "", "13"],
    ]


def test_one_attempt_of_each_learner_counts():
    attempts = [graded("ada", NOT_ATTEMPTED), graded("ada", FULL, 2), graded("ada", PARTIAL, 3)]
    for take, score in (("best", 20), ("latest", 13)):
        assert [each.result.score for each in table.counted_attempts(attempts, take)] == [score]
    attempts.append(graded("ada", BROKEN, 4))  # its score is unknown, and may be the best
    assert table.counted_attempts(attempts, "best")[0].by_hand


def result_of(*scores):
    """A result with exercises of one test each, worth 10, that passed or failed; None: not attempted."""
    passed = replace(RRF, points=10, score=10)
    ends = {1: passed, 0: ended(passed, "failed", "wrong"), None: ended(passed, "not attempted", "exercise")}
    items = [item(f"3.{number}", f"Exercise {number}", ends[score]) for number, score in enumerate(scores, 1)]
    return replace(FULL, items=tuple(items))


def test_shares_and_means():
    results = [result_of(1, 1, 0), result_of(1, 1, 0), result_of(1, 0, 0), result_of(0, 0, None)]
    first, _, third = statistics.of_class(results)
    assert (first.n, first.share("solved"), first.share("failed"), first.mean_points) == (4, 0.75, 0.25, 7.5)
    assert third.counts == {"solved": 0, "partial": 0, "failed": 3, "not_attempted": 1}
    # where the grader failed, the learner is left out of this exercise only
    first, second = statistics.of_class([BROKEN, FULL])
    assert (first.n, second.n) == (1, 2)
    assert statistics.rows([second])[1] == ["3.2", "nDCG", 2, 1.0, 0.0, 0.0, 0.0, 10, 10]


def test_the_picture_is_a_png(tmp_path):
    long = item("3.1", "A $title$ that is much longer than there is room for", SMALL)
    titled = replace(FULL, items=(long,))
    statistics.picture(statistics.of_class([titled]), "step 3", tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    statistics.picture([], "nobody", tmp_path / "none.png")


def test_a_real_class(tmp_path, command):
    """The reference and junk, which is graded as the starter, through the command, in the real sandbox."""
    ada = replace(samples.LEARNERS[0], name="ada_LATE_1_2_work")
    samples.hand_in(ada, samples.files_of(ada, assignment("step3").files), tmp_path / "in")
    (tmp_path / "in" / "bob.zip").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "in" / "readme.txt").write_text("hello")
    line = ("classroom", "grade-class", "in", "--step", "step3", "--json")
    facts = json.loads(command(*line, "--deadline", "2026-01-01").out)
    assert (facts["attempts"], facts["learners"], facts["graded_now"], facts["by_hand"]) == (2, 2, 2, {})
    assert facts["ignored"] == ["readme.txt"]
    assert facts["nobody_solved"] == []
    assert (facts["late"], facts["late_in_canvas"]) == (["ada_1"], ["ada_1"])
    assert facts["time_unknown"] == ["bob"]
    home = tmp_path / "in-graded"
    assert {path.name for path in (home / "feedback").iterdir()} == {"ada_1.md", "bob.md"}
    table = {row["file"]: row for row in csv.DictReader((home / "class.csv").open())}
    assert {row["name"]: row["score"] for row in table.values()} == {"ada": "100", "bob": "0"}
    assert table["bob.zip"]["notes"].startswith("nothing could be read: a damaged archive")
    assert "\n\nnothing could be read: a damaged archive" in (home / "feedback" / "bob.md").read_text()
    assert len({json.loads(path.read_text())["seed"] for path in (home / "results").iterdir()}) == 1
    canvas = list(csv.reader((home / "canvas.csv").open()))
    points = [("Points Possible", "100"), ("ada", "100"), ("bob", "0")]
    assert [(row[0], row[-1]) for row in canvas[1:]] == points
    assert "ada (1),the reference,1.0,1.0" in (home / "similarity.csv").read_text()

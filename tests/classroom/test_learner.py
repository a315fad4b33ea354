"""A learner's commands in a starter, on a toy of four exercises; test_proof.py has one of step 3."""

import json
import os
import subprocess
import sys
import tarfile
from types import SimpleNamespace

import pytest

from classroom.assignment.rubric import Exercise, Mark
from classroom.assignment.spec import Assignment
from classroom.handout import starter as handout
from classroom.learner import __main__ as commands
from classroom.learner import status
from classroom.learner.folder import Starter
from shared.cli import plain_console
from tests.conftest import ROOT

GIVEN = '''"""Sums."""

from __future__ import annotations


def double(x):
    """Twice x."""
    raise NotImplementedError("exercise 9.1: Double")


def helper(x):
    return x


class Sum:
    @staticmethod
    def add(a, b):
        """a and b."""
        raise NotImplementedError("exercise 9.2: Add")

    def all(self, numbers):
        """The sum of the doubles."""
        total = 0
        raise NotImplementedError("exercise 9.3: All")
        return total
'''
LAST = """def last(x):
    raise NotImplementedError("exercise 9.4: The last")
"""
TASKS = [  # title, function, file, what the public test checks, and what it expects
    ("Double", "double", "sums", 'for x in (1, 2): submission.check("step9_toy.sums:double", x)', [2, 4]),
    ("Add", "Sum.add", "sums", 'submission.check("step9_toy.sums:Sum.add", 1, 2)', [3]),
    ("All", "Sum.all", "sums", 'submission.make("step9_toy.sums:Sum").check("all", [1, 2])', [6]),
    ("The last", "last", "last", 'submission.check("step9_toy.last:last", 1)', [1]),
]
TEST = """
@pytest.mark.rubric("{id}", points={points}, timeout=0.5, visibility="public")
def {name}(submission, draw):
    "What {name} asks."
    {check}
"""
DOUBLE = '    raise NotImplementedError("exercise 9.1: Double")'
ADD = '        raise NotImplementedError("exercise 9.2: Add")'
ALL = '        raise NotImplementedError("exercise 9.3: All")'


@pytest.fixture
def toy(tmp_path):
    """A starter of four exercises in a folder with a space in its name; each test may take half a second."""
    root = tmp_path / "my toy"
    files = {f"shared/{path.name}": path.read_bytes() for path in (ROOT / "shared").glob("*.py")}
    files |= {"step9_toy/__init__.py": b"", "step9_toy/last.py": LAST.encode()}
    files["step9_toy/sums.py"] = GIVEN.encode()
    tests, expected, exercises = "import pytest\n", {}, []
    for n, (title, function, file, check, values) in enumerate(TASKS, 1):
        id, name = f"9.{n}", f"test_{function.rpartition('.')[2]}"
        tests += TEST.format(id=id, points=n + 1, name=name, check=check)
        expected[name] = [{"value": each} for each in values]
        marks = [Mark(name, id, n + 1, 0.5, "public", f"What {name} asks.")]
        marks.append(Mark(f"{name}_more", id, 10, line="More."))
        hints = [f"{title} {each}" for each in ("one", "two", "three")]
        exercises.append(Exercise(id, title, hints, [f"step9_toy/{file}.py"], [function], marks))
    files["classroom/rubrics/step9_public.py"] = tests.encode()
    files["tests/expected.json"] = json.dumps({"variant": 0, "tests": expected}).encode()
    made = Assignment("step9_toy", "Step 9: toys", (), "", tuple(exercises))
    files |= handout._classroom(made)
    files[handout.MANIFEST] = handout._manifest(made, 0, files)
    handout.write(files, root)
    return Starter.load(root)


def edit(toy, *changes, file="step9_toy/sums.py"):
    """Replace one text by another, and another."""
    path = toy.root / file
    text = path.read_text()
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture
def learner(toy):
    """Run a command of the toy, as a learner does."""

    def run(*args):
        command = [sys.executable, "-m", "classroom", *args]
        return subprocess.run(command, cwd=toy.root, capture_output=True, text=True)

    return run


@pytest.fixture
def tried(toy, learner, capsys):
    """What `status` finds: facts, how each public test ended, the states of exercises, the printed lines."""

    def run():
        got = learner("status", "--json")
        assert got.returncode == 0, got.stderr
        facts = json.loads(got.stdout)
        status.show(toy, facts, plain_console())
        tests = {
            test["test"]: SimpleNamespace(**test) for each in facts["exercises"] for test in each["tests"]
        }
        states = [each["state"] for each in facts["exercises"]]
        lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        return SimpleNamespace(facts=facts, tests=tests, states=states, lines=lines, stderr=got.stderr)

    return run


def test_an_untouched_starter_is_not_attempted(toy, tried, capsys):
    got = tried()
    assert set(got.states) == {"not attempted"}
    told = got.facts
    assert (told["public_score"], told["public_points"], told["hidden_points"]) == (0, 14, 40)
    assert [(each["file"], each["line"]) for each in told["exercises"]] == [
        *(("step9_toy/sums.py", line) for line in (8, 19, 24)),
        ("step9_toy/last.py", 2),
    ]
    assert told["next"] == "9.1"
    assert "next: 9.1 Double, step9_toy/sums.py:8 (double)" in got.lines
    told["exercises"][0]["tests"][0]["points"] = 1
    status.show_exercise(toy, told | {"exercises": told["exercises"][:1]}, plain_console())
    assert "not attempted: What test_double asks. (1 point)" in capsys.readouterr().out


def test_status_shows_the_call_the_result_the_expected_value_and_what_else_is_needed(toy, tried, learner):
    edit(toy, DOUBLE, "    print('x is', x)\n    return x + 1", ALL, "        return self.add(1, 2)")
    got = tried()
    lines = got.lines
    assert (got.states[2], got.tests["test_all"].cause) == ("not attempted", "exercise 9.2: Add")
    assert lines[1:4] == [
        "exercise      public  hidden  state          where",
        "9.1 Double    0 of 2      10  failing        sums.py:6",
        "9.2 Add       0 of 3      10  not attempted  sums.py:20",
    ]
    points = "0 of 14 points by the public tests. Hidden tests, worth 40 more, do not run here"
    assert f"{points} (HANDOUT.md, Grade yourself)." in lines
    assert lines[lines.index("9.1 Double, step9_toy/sums.py:6 (double)") :] == [
        "9.1 Double, step9_toy/sums.py:6 (double)",
        "failed: What test_double asks. (2 points)",
        "  called    double(2)",
        "  got       3",
        "  expected  4",
        "  why       3 instead of 4",
        "  printed   x is 1",
        "            x is 2",
        "",
        "next: 9.1 Double, step9_toy/sums.py:6 (double)",
        "  details   python -m classroom status 9.1",
        "  a hint    python -m classroom hint 9.1",
    ]
    assert "exercise 9.2: Add is not written yet" in learner("status", "9.3").stdout


def test_passing_public_tests_are_not_called_solved_and_each_failure_is_shown_by_number(toy, tried):
    """Hidden tests may still fail. An exercise that was left out does not hide those that fail after it."""
    manifest = json.loads((toy.root / "classroom.json").read_text())
    manifest["exercises"].reverse()
    (toy.root / "classroom.json").write_text(json.dumps(manifest))
    edit(toy, DOUBLE, "    return 2 * x", ALL, "        return 5")
    edit(toy, LAST.splitlines()[1], "    return x + 1", file="step9_toy/last.py")
    got = tried()
    assert got.states == ["public tests pass", "not attempted", "failing", "failing"]
    assert not any("solved" in line for line in got.lines)
    shown = [line for line in got.lines if line.startswith(("9.", "failed:", "next:"))]
    assert [line.split(",")[0] for line in shown[4:]] == [
        "9.3 All",
        "failed: What test_all asks. (4 points)",
        "9.4 The last",
        "failed: What test_last asks. (5 points)",
        "next: 9.3 All",
    ]


def test_status_of_one_exercise_shows_all_its_tests_and_runs_no_other(toy, learner):
    edit(toy, DOUBLE, "    raise SystemExit('of another exercise')", ADD, "        return a + b")
    got = learner("status", "9.2")
    assert got.returncode == 0, got.stderr
    assert got.stdout.splitlines() == [
        "9.2 Add: public tests pass",
        "written: add in step9_toy/sums.py:17",
        "",
        "public tests: 3 of 3 points",
        "passed: What test_add asks. (3 points)",
        "",
        "hidden tests, which do not run here: 10 points",
        "More. (10 points)",
        "",
        "what is next: python -m classroom status",
    ]
    facts = json.loads(learner("status", "9.2", "--json").stdout)
    assert [each["id"] for each in facts["exercises"]] == ["9.2"]
    unknown = learner("status", "9.20")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == "error: there is no exercise '9.20'; there are 9.1, 9.2, 9.3, 9.4\n"


def test_an_exercise_with_a_stub_left_is_unfinished(toy, tried, learner):
    """Its public tests may not reach the stub, as those of a second function."""
    edit(toy, DOUBLE, "    if x < 3:\n        return 2 * x\n" + DOUBLE)
    got = tried()
    assert got.states[0] == "unfinished"
    assert got.facts["next"] == "9.1"
    place = "step9_toy/sums.py:10"
    shown = got.lines[got.lines.index(f"9.1 Double, {place} (double)") :]
    assert shown[1:4] == [f"not written yet: double in {place}", "", f"next: 9.1 Double, {place} (double)"]
    one = learner("status", "9.1").stdout.splitlines()
    assert one[:2] == ["9.1 Double: unfinished", f"write double in {place}"]
    assert one[-1] == "a hint: python -m classroom hint 9.1"


def test_status_says_where_an_exception_was_raised(toy, tried):
    edit(toy, DOUBLE, "    return 2 * x", ADD, "        return [][a]")
    got = tried()
    assert got.states == ["public tests pass", "failing", "not attempted", "not attempted"]
    assert got.tests["test_add"].place == "step9_toy/sums.py:19"
    assert got.tests["test_add"].cause == "raised IndexError: list index out of range"
    assert "  got       raised IndexError: list index out of range" in got.lines
    assert "  at        step9_toy/sums.py:19" in got.lines


def test_all_public_tests_pass_and_the_import_of_a_library_costs_no_test_its_time(toy, tried):
    (toy.root / "library.py").write_text("import time; time.sleep(0.8)")
    add, every = "        return a + b", "        return sum(map(double, numbers))"
    edit(toy, DOUBLE, "    return 2 * x", ADD, add, ALL, every)
    edit(toy, "annotations\n", "annotations\nimport library\n")
    edit(toy, LAST.splitlines()[1], "    return x", file="step9_toy/last.py")
    got = tried()
    assert any(line.startswith("14 of 14 points by the public tests. Hidden") for line in got.lines)
    assert any(line.startswith("All public tests pass") for line in got.lines)
    assert got.facts["next"] is None


def test_a_syntax_error_is_shown_with_its_place(toy, tried):
    edit(toy, DOUBLE, "    return (")
    (toy.root / "step9_toy/last.py").write_bytes(b"x = '\xff'")
    got = tried()
    assert "next: 9.1 Double, step9_toy/sums.py:6 (double)" in got.lines
    assert "  got       raised SyntaxError: '(' was never closed (sums.py, line 8)" in got.lines
    assert "  at        step9_toy/sums.py:8" in got.lines
    assert toy.places(toy.exercise("9.2"))[0].line == 19  # found all the same
    assert "raised SyntaxError" in got.tests["test_last"].cause


def test_what_hangs_or_exits_costs_its_own_test_only(toy, tried):
    edit(
        toy,
        *(DOUBLE, "    while True:\n        print('again')"),
        *(ADD, "        import threading; threading.Event().wait()"),
        *(ALL, "        raise SystemExit('bye')"),
    )
    edit(toy, LAST.splitlines()[1], "    return x", file="step9_toy/last.py")
    got = tried()
    loop, waits, left, fine = (got.tests[f"test_{name}"] for name in ("double", "add", "all", "last"))
    assert (loop.status, loop.cause) == ("timed out", "no answer in 0.5 s")
    assert loop.place in ("step9_toy/sums.py:8", "step9_toy/sums.py:9")
    assert loop.calls[0]["call"] == "double(1)"
    assert len(loop.printed) == 2000
    assert (waits.status, waits.place) == ("timed out", "step9_toy/sums.py:20")
    assert (left.status, left.cause) == ("failed", "raised SystemExit: bye")
    assert fine.status == "passed"
    assert got.states[0] == "failing"


def test_public_tests_that_are_broken_are_an_error_in_one_line(toy, learner):
    edit(toy, DOUBLE, "    return 2 * x")
    for text, said in (
        ("", "there is no test"),
        ("import nothing_of_the_kind", "No module named 'nothing_of_the_kind'"),
    ):
        (toy.root / "classroom/rubrics/step9_public.py").write_text(text)
        got = learner("status")
        assert got.returncode == 2
        assert said in got.stderr.splitlines()[-1]


def test_check_and_hand_in_need_neither_make_nor_any_other_program(toy, tmp_path):
    edit(toy, DOUBLE, "    return 2 * x")
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    bare = {"PATH": str(tmp_path / "empty"), "SYSTEMROOT": os.environ.get("SYSTEMROOT", "")}

    def run(*args):
        command = [sys.executable, "-m", "classroom", *args]
        return subprocess.run(command, cwd=toy.root, env=bare, capture_output=True, text=True)

    checked = run("check", "--summary", str(summary))
    assert checked.returncode == 0, checked.stderr
    assert "2 of 14 points by the public tests" in checked.stdout
    lines = summary.read_text().splitlines()
    assert lines[:2] == ["before", "### 2 of 14 points by the public tests"]
    assert "| 9.1 Double | 2 of 2 | public tests pass |" in lines
    packed = run("hand-in")
    assert (packed.returncode, packed.stdout) == (0, "hand-in.tar.gz\n"), packed.stderr
    with tarfile.open(toy.root / "hand-in.tar.gz") as archive:
        assert archive.getnames() == ["step9_toy/sums.py", "step9_toy/last.py", "classroom.json"]
        packed_sums = archive.extractfile("step9_toy/sums.py").read()
    assert packed_sums == (toy.root / "step9_toy" / "sums.py").read_bytes()
    (toy.root / "step9_toy" / "last.py").unlink()
    missing = run("hand-in")
    assert missing.returncode == 2
    assert missing.stderr == "error: step9_toy/last.py is missing: take it from the assignment again\n"


def test_hints_come_one_by_one_and_are_remembered(toy, learner, command, refused, monkeypatch):
    monkeypatch.setattr(commands, "ROOT", toy.root)

    def hint(*args):
        return command("classroom.learner", "hint", *args).out

    first = learner("hint", "9.1").stdout
    assert first.splitlines()[:2] == ["9.1 Double", "write double in step9_toy/sums.py:8"]
    assert "hint 1 of 3: Double one" in first
    assert "two" not in first
    assert "hint 2 of 3: Double two" in hint("9.1")
    assert "hint 1 of 3: Add one" in hint("9.2")
    third = json.loads(hint("9.1", "--json"))
    assert (third["hint"], third["seen"], third["of"]) == ("Double three", 3, 3)
    last = hint("9.1")
    assert "hint 3 of 3" in last
    assert "That was the last one" in last
    assert json.loads((toy.root / ".classroom.json").read_text()) == {"hints": {"9.1": 3, "9.2": 1}}
    (toy.root / ".classroom.json").write_text('{"hints": {"9.1": "many"')
    assert "hint 1 of 3" in hint("9.1")
    unknown = refused("classroom.learner", "hint", "9.11")
    assert unknown == "error: there is no exercise '9.11'; there are 9.1, 9.2, 9.3, 9.4\n"

"""What learners have in a starter, tried on a toy of four exercises, and on step 3."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from classroom.assignment.spec import assignment, classroom_files
from classroom.handout.starter import starter as made_of
from classroom.handout.starter import write
from classroom.learner import __main__ as main
from classroom.learner import reset, status, trial
from classroom.learner.folder import Starter

ROOT = Path(__file__).parents[2]

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
TESTS = """
import pytest

@pytest.mark.rubric("9.1", points=2, timeout=TIMEOUT, visibility="public")
def test_double(submission, draw):
    "Small numbers."
    for x in (1, 2):
        submission.check("step9_toy.sums:double", x)

@pytest.mark.rubric("9.2", points=3, timeout=TIMEOUT, visibility="public")
def test_add(submission, draw):
    "Two numbers."
    submission.check("step9_toy.sums:Sum.add", 1, 2)

@pytest.mark.rubric("9.3", points=4, timeout=TIMEOUT, visibility="public")
def test_all(submission, draw):
    "A few numbers."
    submission.make("step9_toy.sums:Sum").check("all", [1, 2])

@pytest.mark.rubric("9.4", points=5, timeout=TIMEOUT, visibility="public")
def test_last(submission, draw):
    "Anything."
    submission.check("step9_toy.last:last", 1)
"""
EXPECTED = {
    "test_double": [{"value": 2}, {"value": 4}],
    "test_add": [{"value": 3}],
    "test_all": [{"value": 6}],
    "test_last": [{"value": 1}],
}
DOUBLE, ADD = (
    '    raise NotImplementedError("exercise 9.1: Double")',
    '        raise NotImplementedError("exercise 9.2: Add")',
)
ALL = '        raise NotImplementedError("exercise 9.3: All")'


def exercise(number, title, function, points, test, file="step9_toy/sums.py"):
    lines = [
        {"points": points, "line": f"What {test} asks.", "visibility": "public", "test": test},
        {"points": 10, "line": "More.", "visibility": "hidden", "test": f"{test}_more"},
    ]
    hints = [f"{title} {n}" for n in ("one", "two", "three")]
    told = {"id": f"9.{number}", "title": title, "points": points + 10, "files": [file]}
    return told | {"functions": [function], "hints": hints, "lines": lines}


@pytest.fixture
def toy(tmp_path):
    """A starter of four exercises in a folder with a space in its name; each test may take half a second."""
    root = tmp_path / "my toy"
    files = classroom_files(["learner/*", "grading/expected.py"])
    files |= {f"shared/{name}.py": (ROOT / "shared" / f"{name}.py").read_bytes()
              for name in ("__init__", "cli", "errors", "masking", "progress")}  # fmt: skip
    files["classroom/__main__.py"] = files["classroom/learner/__main__.py"]
    code = {"step9_toy/__init__.py": "", "step9_toy/sums.py": GIVEN, "step9_toy/last.py": LAST}
    told = {
        "schema": "classroom/assignment/v1",
        "step": "step9_toy",
        "title": "Step 9: toys",
        "exercises": [
            exercise(1, "Double", "double", 2, "test_double"),
            exercise(2, "Add", "Sum.add", 3, "test_add"),
            exercise(3, "All", "Sum.all", 4, "test_all"),
            exercise(4, "The last", "last", 5, "test_last", "step9_toy/last.py"),
        ],
        "sha256": dict.fromkeys([*code, "classroom/learner/trial.py"], ""),
    }
    texts = code | {
        "classroom.json": json.dumps(told),
        "classroom/given.json": json.dumps({name: code[name] for name in list(code)[1:]}),
        "classroom/rubrics/__init__.py": "",
        "classroom/rubrics/step9_public.py": TESTS.replace("TIMEOUT", "0.5"),
        "tests/expected.json": json.dumps(
            {"schema": "classroom/expected/v1", "variant": 0, "tests": EXPECTED}
        ),
    }
    for name, content in {**files, **{name: text.encode() for name, text in texts.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return Starter.load(root)


def edit(toy, *changes, file="step9_toy/sums.py"):
    """Replace one text by another, and another."""
    path = toy.root / file
    text = path.read_text()
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


tried = status.tried


def states(toy, outcomes):
    return {each["id"]: each["state"] for each in status.facts(toy, outcomes)["exercises"]}


@pytest.fixture
def learner(toy, command, monkeypatch):
    """Run a command of the toy in this process."""
    monkeypatch.setattr(main, "ROOT", toy.root)
    return lambda *args: command("classroom.learner", *args)


# --- status -----------------------------------------------------------------------------------------------


def test_an_untouched_starter_is_told_without_running_anything(toy, learner, monkeypatch):
    monkeypatch.setattr(trial.subprocess, "run", None)
    (toy.root / "step9_toy/last.py").write_bytes(
        LAST.replace("\n", "\r\n").encode()
    )  # as git may do on Windows
    got = learner("status", "--json")
    assert (got.code, got.err) == (0, "")
    told = json.loads(got.out)
    assert {each["state"] for each in told["exercises"]} == {"not attempted"}
    assert (told["public_score"], told["public_points"], told["hidden_points"]) == (0, 14, 40)
    assert [(each["file"], each["line"]) for each in told["exercises"]] == [
        ("step9_toy/sums.py", 8),
        ("step9_toy/sums.py", 19),
        ("step9_toy/sums.py", 24),
        ("step9_toy/last.py", 2),
    ]
    assert told["next"] == "9.1"


def test_status_says_what_was_called_what_came_and_what_was_expected(toy, learner):
    edit(toy, DOUBLE, "    print('x is', x)\n    return x + 1", ADD, "        return [][a]")
    got = learner("status")
    lines = [line.rstrip() for line in got.out.splitlines()]
    assert got.code == 0
    assert "9.1       Double       0/2  failing        step9_toy/sums.py:6" in lines
    assert "9.3       All          0/4  not attempted  step9_toy/sums.py:25" in lines
    assert "0 of 14 points by the public tests; hidden ones add up to 40" in lines
    assert lines[lines.index("next: 9.1 Double, step9_toy/sums.py:6 (double)") :] == [
        "next: 9.1 Double, step9_toy/sums.py:6 (double)",
        "What test_double asks. (2 points)",
        "  called    double(2)",
        "  came      3",
        "  expected  4",
        "  so        3 instead of 4",
        "  printed   x is 1",
        "            x is 2",
        "  help      python -m classroom hint 9.1",
    ]


def test_status_says_where_it_was_raised_and_which_other_exercise_is_needed(toy, learner):
    edit(toy, DOUBLE, "    return 2 * x", ADD, "        return [][a]", ALL, "        return self.add(1, 2)")
    outcomes = tried(toy)
    assert states(toy, outcomes) == {
        "9.1": "solved",
        "9.2": "failing",
        "9.3": "failing",
        "9.4": "not attempted",
    }
    assert outcomes["test_add"].place == "step9_toy/sums.py:19"
    assert outcomes["test_add"].cause == "raised IndexError: list index out of range"
    lines = learner("status").out.splitlines()
    assert "  came      raised IndexError: list index out of range" in lines
    assert "  at        step9_toy/sums.py:19" in lines
    edit(toy, "        return [][a]", ADD)
    assert tried(toy)["test_all"].cause == "needs exercise 9.2: Add"


def test_all_solved(toy, learner):
    add, every = "        return a + b", "        return sum(map(double, numbers))"
    edit(toy, DOUBLE, "    return 2 * x", ADD, add, ALL, every)
    edit(toy, LAST.splitlines()[1], "    return x", file="step9_toy/last.py")
    got = learner("status")
    assert "14 of 14 points by" in got.out
    assert "All public tests pass" in got.out
    assert json.loads(learner("status", "--json").out)["next"] is None


def test_a_syntax_error_is_one_line_with_its_place(toy, learner):
    edit(toy, DOUBLE, "    return (")
    got = learner("status")
    assert got.code == 0
    assert "step9_toy/sums.py:8: SyntaxError: '(' was never closed" in got.out.splitlines()
    assert "Traceback" not in got.out
    assert toy.places(toy.exercise("9.2"))[0].line == 19  # found all the same
    for content in (b"x = '\xff'", b"\x00"):
        (toy.root / "step9_toy/last.py").write_bytes(content)
        assert str(toy.problems()[1]).startswith("step9_toy/last.py:1: ")


# --- what a test may do to its process ----------------------------------------------------------------------


def test_what_hangs_or_ends_the_process_costs_its_own_test_only(toy):
    edit(
        toy,
        *(DOUBLE, "    while True:\n        print('again')"),
        *(ADD, "        import os; os._exit(5)"),
        *(ALL, "        raise SystemExit('bye')"),
    )
    edit(toy, LAST.splitlines()[1], "    return x", file="step9_toy/last.py")
    got = tried(toy)
    loop, ended, left, fine = (got[f"test_{name}"] for name in ("double", "add", "all", "last"))
    assert (loop.status, loop.cause) == ("timed out", "no answer in 0.5 s")
    assert loop.place in ("step9_toy/sums.py:8", "step9_toy/sums.py:9")
    assert loop.calls[0]["call"] == "double(1)"
    assert len(loop.printed) == 2000
    assert (ended.status, ended.cause) == ("crashed", "ended the process, exit code 5")
    assert (left.status, left.cause) == ("failed", "raised SystemExit: bye")
    assert fine.status == "passed"
    assert states(toy, got)["9.1"] == "failing"


def test_code_that_lets_no_other_thread_run_is_ended_too(toy):
    edit(toy, "LONG = 30", "LONG = 1", file="classroom/learner/process.py")
    edit(toy, DOUBLE, "    import re\n    re.match('(a+)+b', 'a' * 60)")
    got = tried(toy)["test_double"]
    assert (got.status, got.place) == ("timed out", "step9_toy/sums.py:9")


def test_the_time_that_a_library_takes_to_be_imported_does_not_count(toy):
    (toy.root / "library.py").write_text("import time; time.sleep(1.5)")
    edit(toy, DOUBLE, "    return 2 * x", "annotations\n", "annotations\nimport library\n")
    assert tried(toy)["test_double"].status == "passed"


def test_tests_that_are_gone_or_broken_are_an_error_in_one_line(toy, learner):
    edit(toy, DOUBLE, "    return 2 * x")
    edit(toy, "def test_double", "def test_other", file="classroom/rubrics/step9_public.py")
    assert learner("status").err.splitlines()[-1] == (
        "error: the public tests can't be run: test_double is not among them; were they changed?"
    )
    (toy.root / "classroom/rubrics/step9_public.py").write_text("import nothing_of_the_kind")
    got = learner("status")
    assert got.code == 2
    assert "No module named 'nothing_of_the_kind'" in got.err.splitlines()[-1]


# --- hint -------------------------------------------------------------------------------------------------


def test_hints_come_one_by_one_and_are_remembered(toy, learner, refused):
    first = learner("hint", "9.1").out
    assert first.splitlines()[:2] == ["9.1 Double", "write double in step9_toy/sums.py:8"]
    assert "hint 1 of 3: Double one" in first
    assert "two" not in first
    assert "hint 2 of 3: Double two" in learner("hint", "9.1").out
    assert "hint 1 of 3: Add one" in learner("hint", "9.2").out
    third = json.loads(learner("hint", "9.1", "--json").out)
    assert (third["hints"], third["seen"], third["of"]) == (["Double three"], 3, 3)
    last = learner("hint", "9.1").out
    assert "hint 3 of 3" in last
    assert "That was the last one" in last
    every = learner("hint", "9.4", "--all").out
    assert all(f"hint {n} of 3" in every for n in (1, 2, 3))
    assert json.loads((toy.root / ".classroom.json").read_text()) == {"hints": {"9.1": 3, "9.2": 1, "9.4": 3}}
    (toy.root / ".classroom.json").write_text('{"hints": {"9.1": "many"')
    assert "hint 1 of 3" in learner("hint", "9.1").out


@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("9.11", "there are 9.1, 9.2, 9.3, 9.4"),
    ],
)
def test_an_unknown_id(learner, id, said):
    for command in ("hint", "reset"):
        got = learner(command, id)
        assert (got.code, got.out) == (2, "")
        assert got.err == f"error: there is no exercise '{id}'; {said}\n"


# --- reset ------------------------------------------------------------------------------------------------


def test_reset_puts_one_stub_back_and_saves_what_was_there(toy, learner):
    edit(
        toy,
        DOUBLE,
        "    y = 2 * x\n    return y",
        ADD,
        "        return a + b",
        "return x",
        "return x  # mine",
    )
    path = toy.root / "step9_toy/sums.py"
    before = path.read_text()
    got = learner("reset", "9.2", "--yes")
    assert got.out == "step9_toy/sums.py is reset; what you had is in step9_toy/sums.py.bak-1\n"
    assert path.read_text() == before.replace("        return a + b", ADD)
    assert path.with_name("sums.py.bak-1").read_text() == before
    told = json.loads(learner("reset", "9.1", "--yes", "--json").out)
    assert told["saved"] == {"step9_toy/sums.py": "step9_toy/sums.py.bak-2"}
    assert path.read_text() == GIVEN.replace("return x", "return x  # mine")
    assert "nothing to reset" in learner("reset", "9.1").out


def test_reset_keeps_the_ends_of_lines(toy):
    path = toy.root / "step9_toy/sums.py"
    path.write_bytes(GIVEN.replace(DOUBLE, "    return 1").replace("\n", "\r\n").encode())
    reset.done(toy, reset.planned(toy, toy.exercise("9.1"), whole=False))
    assert path.read_bytes() == GIVEN.replace("\n", "\r\n").encode()


def test_what_can_only_be_reset_as_a_whole(toy, learner):
    path = toy.root / "step9_toy/sums.py"
    for text, said in (("def double(:", "line 1 is no Python"), ("x = 1", "double is no longer in")):
        path.write_text(text)
        got = learner("reset", "9.1", "--yes")
        assert got.code == 2
        assert said in got.err
        assert "reset 9.1 --file" in got.err
        assert path.read_text() == text
    path.unlink()
    assert "sums.py is gone; reset 9.1 --file" in learner("reset", "9.1", "--yes").err
    assert learner("reset", "9.1", "--file", "--yes").out == "step9_toy/sums.py is reset\n"
    assert path.read_text() == GIVEN


def test_reset_asks(toy, learner, monkeypatch):
    edit(toy, DOUBLE, "    return 2 * x")
    path = toy.root / "step9_toy/sums.py"
    before = path.read_text()
    assert "say --yes" in learner("reset", "9.1").err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr(typer, "confirm", lambda question: asked.append(question))
    assert (learner("reset", "9.1").code, path.read_text()) == (2, before)
    assert "double in step9_toy/sums.py" in asked[0]

    def interrupted(question):
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", interrupted)
    assert (learner("reset", "9.1").code, path.read_text()) == (130, before)
    monkeypatch.setattr(typer, "confirm", lambda question: True)
    assert learner("reset", "9.1").code == 0
    assert path.read_text() == GIVEN


# --- watch ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_watching_from_a_loop_without_end_to_ctrl_c(toy, tmp_path):
    out = tmp_path / "out"
    with out.open("wb") as file:
        command = [sys.executable, "-m", "classroom", "watch"]
        process = subprocess.Popen(command, cwd=toy.root, stdout=file, stderr=file)

    def until(text):
        end = time.monotonic() + 60
        while text not in (said := out.read_text()):
            assert process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.05)

    try:
        until("watching; Ctrl-C ends it")
        edit(toy, DOUBLE, "    while True: pass")
        until("no answer in 0.5 s")
        edit(toy, "while True: pass", "return 2 *")
        until("step9_toy/sums.py:8: SyntaxError: invalid syntax")
        edit(toy, "return 2 *", "return 2 * x")
        until("2 of 14 points")
        until("next: 9.2 Add")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in out.read_text()


# --- a real one -------------------------------------------------------------------------------------------


def test_step_3_as_a_learner_has_it(tmp_path):
    """Untouched, solved in part, moved, reset: all by the commands of the handout."""
    root = tmp_path / "a starter"
    write(made_of(assignment("step3"), 0), root)

    def run(*args):
        command = [sys.executable, "-m", *args]
        got = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert got.returncode == 0, got.stderr
        return got.stdout

    untouched = json.loads(run("classroom", "status", "--json"))
    assert {each["state"] for each in untouched["exercises"]} == {"not attempted"}
    assert untouched["public_points"] + untouched["hidden_points"] == 100
    for each in untouched["exercises"]:
        line = (root / each["file"]).read_text().splitlines()[each["line"] - 1]
        assert f'NotImplementedError("exercise {each["id"]}: {each["title"]}")' in line

    root = root.rename(tmp_path / "moved")
    fuse = root / "step3_rag" / "retrieve" / "fuse.py"
    given = fuse.read_bytes()
    shutil.copy(ROOT / "step3_rag" / "retrieve" / "fuse.py", fuse)
    told = json.loads(run("classroom", "status", "--json"))
    solved = {each["id"] for each in told["exercises"] if each["state"] == "solved"}
    assert (solved, told["public_score"], told["next"]) == ({"3.1", "3.3"}, 8, "3.2")
    assert "write late_interaction in step3_rag/retrieve/rerank.py" in run("classroom", "hint", "3.4")
    for id in ("3.1", "3.3"):
        run("classroom", "reset", id, "--yes")
    assert fuse.read_bytes() == given
    assert {each.name for each in fuse.parent.glob("*.bak*")} == {"fuse.py.bak-1", "fuse.py.bak-2"}
    assert not os.path.exists(tmp_path / "a starter")  # noqa: PTH110

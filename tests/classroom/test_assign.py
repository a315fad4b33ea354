"""An assignment stands alone, reveals no solution, and is written whole or not at all."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement

from classroom.assignment import spec
from classroom.assignment.spec import Assignment, assignment, places_of
from classroom.grading.calls import CallRecord
from classroom.grading.grade import base
from classroom.grading.result import Item, Result
from classroom.grading.result import Test as Line
from classroom.handout import prove
from classroom.handout import starter as assign
from classroom.handout import texts as handout
from shared.errors import UserError
from shared.steps import steps
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def made():
    """Step 3's assignment."""
    return assignment("step3")


@pytest.fixture(scope="module")
def files(made):
    """What it is made of."""
    return assign.starter(made, 0)


def test_it_holds_what_a_learner_needs_and_no_solution(made, files):
    wanted = "README.md HANDOUT.md AGENTS.md LICENSE Makefile pyproject.toml constraints.txt .gitignore "
    wanted += "classroom.json step3_rag/README.md step3_rag/sample.md shared/cli.py GLOSSARY.md"
    tests = ["tests/conftest.py", "tests/expected.json", "tests/test_step3.py"]
    assert {*wanted.split(), *tests, *made.files} <= set(files)
    folders = {name.split("/")[0] for name in files if "/" in name}
    assert folders == {"classroom", "shared", "step3_rag", "tests"}
    assert [name for name in files if name.startswith("tests/")] == tests
    for name, content in files.items():
        assert not re.search(r"hidden|__pycache__", name)
        assert not re.match(r"classroom/(grading/(remote|grade)|isolation|rubrics/step[1245])", name)
        assert b"### BEGIN SOLUTION" not in content, name


def test_the_manifest_lists_exercises_and_hashes(made, files):
    told = json.loads(files["classroom.json"])
    assert (told["schema"], told["step"], told["variant"]) == ("classroom/assignment/v2", "step3_rag", 0)
    marks = [mark for each in told["exercises"] for mark in each["marks"]]
    assert sum(mark["points"] for mark in marks) == 100
    first = told["exercises"][0]
    assert (first["id"], first["files"]) == ("3.1", ["step3_rag/retrieve/fuse.py"])
    assert (first["functions"], len(first["hints"])) == (["rrf"], 3)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert told["sha256"].items() == hashes.items() - {("classroom.json", hashes["classroom.json"])}


def test_the_handout_has_every_exercise_with_its_lines(made, files):
    text = files["HANDOUT.md"].decode()
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    headings = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
    for each in made.exercises:
        assert f"### {each.id} {each.title}" in text
        for mark in each.marks:
            assert mark.line in text
        for name in (*each.functions, *each.files):
            assert f"`{name}`" in text
    assert ">>> rrf([{" in text
    assert "source .venv/bin/activate" in text
    assert ".venv/bin/python" not in text  # one way to run Python, here and in the lessons
    assert "\npython -m classroom grade path/to/this/folder --step step3    #" in text
    of_variant_7 = handout.texts(made, 7, {}, [])["HANDOUT.md"].decode()
    assert "--step step3 --variant 7    #" in of_variant_7
    agents = files["AGENTS.md"].decode()
    assert "coach" in agents
    for each in made.exercises:
        first, *others = each.hints
        assert first in agents
        assert not [hint for hint in others if hint in agents]


@pytest.mark.parametrize("step", steps())
def test_the_lesson_of_a_copy_says_that_it_is_one(step):
    before = (ROOT / step / "README.md").read_text("utf-8")
    text = handout.for_a_copy(before)
    assert "## The project and the exercises" in text
    assert "This folder is your copy" in text
    assert "[HANDOUT.md](../HANDOUT.md)" in text
    assert "classroom assign" in before
    for false in ("contain the solutions", "classroom assign", "classroom grade"):
        assert false not in " ".join(text.split())


def test_a_lesson_that_does_not_say_where_to_work_is_an_error():
    with pytest.raises(ValueError, match="how to get hints"):
        handout.for_a_copy("# Step 9")


def test_an_example_shows_all_that_its_result_depends_on():
    calls = {
        "Tool('spruce')": "nothing",
        "what it read": "[1]",
        "Tool.call()": "1",
        "f(<Tool>)": "1",
        "f(2)": "3",
    }
    assert handout._shown([*map(CallRecord, calls, calls.values())]) == [CallRecord("f(2)", "3")]


def test_no_link_dangles(files):
    folders = {str(parent) for name in files for parent in Path(name).parents}
    for name in files:
        if name.endswith(".md") and "sample/" not in name:
            for target in re.findall(r"\]\(([^)#\s]+)", files[name].decode()):
                if "://" not in target:
                    place = handout.posixpath.normpath(f"{Path(name).parent}/{target}")
                    assert place in files or place in folders, (name, target)


def test_it_can_be_installed(files, tmp_path):
    told = tomllib.loads(files["pyproject.toml"].decode())
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = told["project"]["optional-dependencies"]
    assert {"step3", "chat", "models", "classroom"} == set(extras)
    assert {Requirement(each).name for each in extras["classroom"]} <= handout.LEARNERS_NEED
    for each in [line for lines in extras.values() for line in lines]:
        if (requirement := Requirement(each)).name == "llm-roadmap":
            assert requirement.extras <= set(extras)
    assert told["project"]["dependencies"] == whole["project"]["dependencies"]
    packages = told["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["classroom", "shared", "step3_rag"]
    assign.write(files, tmp_path / "out")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=tmp_path / "out", check=True, capture_output=True)
    built = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    assert {name for name in files if name.startswith(tuple(packages))} - built == {"classroom.json"}
    assert b'-e ".[step3,classroom]"' in files["Makefile"]


def test_a_variant_has_numbers_of_its_own(made, files):
    expected, examples = assign.record("step3_rag", 7)
    assert assign.record("step3_rag", 7)[0] == expected
    others = json.loads(files["tests/expected.json"])["tests"]
    assert expected.keys() == others.keys()
    assert all(expected[name] != others[name] for name in others)
    assert examples["3.1"][0].call not in files["HANDOUT.md"].decode()


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    out = tmp_path / "deep" / "out"
    assign.write({"a/b.py": b"1", "c": b"2"}, out)
    assert (out / "a" / "b.py").read_bytes() == b"1"
    with pytest.raises(UserError, match="not empty"):
        assign.write({"c": b"3"}, out)
    with pytest.raises(UserError, match="can't be written"):
        assign.write({"c": b"3", "c/d": b"4"}, out, force=True)
    assert (out / "c").read_bytes() == b"2"
    assign.write({"c": b"3"}, out, force=True)
    assert [path.name for path in out.iterdir()] == ["c"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_replaced_is_as_it_was(tmp_path, monkeypatch):
    assign.write({"a": b"1"}, tmp_path / "out")
    rename = Path.rename

    def fails_for_the_new_one(path, target):
        if path.name == "made":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_for_the_new_one)
    with pytest.raises(UserError, match="can't be written: Input/output error"):
        assign.write({"a": b"2"}, tmp_path / "out", force=True)
    assert (tmp_path / "out" / "a").read_bytes() == b"1"


def test_what_may_not_be_replaced_stays(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    for name, why in (("file", "not a folder"), ("link", "not a folder"), ("clone", "git repository")):
        with pytest.raises(UserError, match=why):
            assign.write({"a": b"1"}, tmp_path / name, force=True)
    (tmp_path / "empty").mkdir()
    assign.write({"a": b"1"}, tmp_path / "empty")


def test_exercises_and_tests_must_agree(monkeypatch):
    places = places_of(["step3_rag", "shared"])
    without = {id: each for id, each in places.items() if id != "3.2"}
    for marked, words in (
        ({**places, "3.9": places["3.1"]}, r"exercise 3\.9 is marked in the code, and has no test"),
        (without, r"exercise 3\.2 is tested, and not marked"),
    ):
        monkeypatch.setattr(spec, "places_of", lambda _packages, marked=marked: marked)
        with pytest.raises(UserError, match=words):
            assignment("step3")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("goals = [", "goals = = [", "step3.toml can't be read: Invalid value"),
        ('["3.2"]', '["3.9"]', "exercise 3.2 has no title or no three hints in step3.toml"),
    ],
)
def test_mistakes_in_titles_and_hints_are_one_line(tmp_path, monkeypatch, old, new, says):
    text = (spec.RUBRICS / "step3.toml").read_text("utf-8")
    assert old in text
    (tmp_path / "step3.toml").write_text(text.replace(old, new, 1), "utf-8")
    monkeypatch.setattr(spec, "RUBRICS", tmp_path)
    with pytest.raises(UserError, match=re.escape(says)):
        assignment("step3")


def test_a_line_of_a_solution_is_found_anywhere(monkeypatch, tmp_path):
    source = tmp_path / "a.py"
    source.write_text(
        "def f(x):\n    before = x + 12345\n    ### BEGIN SOLUTION 3.1: F\n"
        "    total = sum(each for each in x)  # every one of them\n    before = x + 12345\n    y = 1\n"
        '    def g():\n        """A telling docstring."""\n'
        '        return "a\\"b\\"c and more"\n    return total\n'
        "    ### END SOLUTION\n"
    )
    monkeypatch.setattr(prove, "sources", lambda _packages: {"a.py": source})

    def leaky(text, name="x.md"):
        made = Assignment("step3_rag", "", (), "", ())
        return prove._solutions(made, {"a.png": b"\xff\x00", name: text.encode()})

    for text in (
        "        total = sum(each for each in x)  # every one of them",
        "so you see: total = sum(each for each in x)",
        "> every one of them",
        '"""A telling docstring."""',
        'return "a\\"b\\"c and more"',
    ):
        row = leaky(text)
        assert not row.holds
        assert "x.md holds a line of 3.1 (a.py:" in row.detail
        assert not leaky(json.dumps({"hints": [["a", text]]}), "classroom.json").holds
    for text in ("    before = x + 12345", "y = 1", "return total", "total = sum(x)"):
        assert leaky(text).holds


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_no_starter_and_no_worker_gets_a_solution(number, monkeypatch):
    monkeypatch.setattr(assign, "record", lambda *_: ({}, {}))  # of values, which takes a while
    made = assignment(str(number))
    files = assign.starter(made, 0)
    tree = {name: each for name, each in base(made.step).items() if not name.startswith("classroom")}
    for given in (files, tree):
        row = prove._solutions(made, given)
        assert row.holds, row.detail
    assert prove._exercises(made).holds
    stubbed = {name.partition("/")[0] for name, each in files.items() if b'Error("exercise ' in each}
    assert stubbed == {made.step}  # the solutions of another step that it needs stay
    given = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files}
    graph = grimp.build_graph("classroom", cache_dir=None)
    for each in (given & graph.modules) - {"classroom.__main__"}:  # which is another one here
        assert graph.find_modules_directly_imported_by(each) <= given, each


def result(score, status):
    item = Item("3.1", "X", 100, score, (Line("test_a", "x", 100, score, "public", status, "", 0.0),))
    return Result("step3_rag", "a", (item,), 0, 0, "none", False, "", 0.0)


def test_the_proof_tries_the_reference_and_the_starter(made, monkeypatch):
    """What it grades here is put in its place: that step 3's reference gets 100 is in test_grade.py."""
    graded = {True: result(100, "passed"), False: result(0, "not attempted")}
    monkeypatch.setattr(prove, "_graded", lambda path, *_: graded[path == ROOT])
    monkeypatch.setattr(prove, "_public_tests", lambda where, _made: (where.is_dir(), "3 passed"))
    files = {"HANDOUT.md": b"x"}
    rows = prove.prove(made, files, 0)
    names = ["exercises", "solutions", "reference", "starter", "public tests"]
    assert [row.what for row in rows] == names
    assert [row for row in rows if not row.holds] == []
    graded.update({True: result(99, "partial"), False: result(3, "passed")})
    wrong = {row.what: row.detail for row in prove.prove(made, files, 0) if not row.holds}
    assert wrong == {"reference": "99 points; test_a partial ()", "starter": "3 points; test_a passed ()"}


def test_a_starter_runs_its_own_tests(files, tmp_path):
    assign.write(files, tmp_path / "out")
    fuse = "step3_rag/retrieve/fuse.py"
    (tmp_path / "out" / fuse).write_bytes((ROOT / fuse).read_bytes())
    mine = tmp_path / "out" / "tests" / "test_mine.py"  # learners' own tests run, too
    mine.write_text("def test_mine(tmp_path):\n    assert tmp_path\n")
    args = ("-m", "pytest", "-q", "-k", "rrf or ndcg or mine", "-p", "no:cacheprovider")
    holds, detail = prove._run(tmp_path / "out", *args)
    assert (holds, detail[:18]) == (False, "1 failed, 2 passed")


def test_the_command_says_what_it_made(command, refused, monkeypatch, tmp_path):
    assert "where to?" in refused("classroom", "assign", "step3")
    assert "there is no step 'step9'" in refused("classroom", "assign", "step9", "--out", "x")
    monkeypatch.setattr(assign, "starter", lambda *_: {"HANDOUT.md": b"x"})
    got = command("classroom", "assign", "3", "--out", "out", "--variant", "5")
    assert (got.code, (tmp_path / "out" / "HANDOUT.md").read_text()) == (0, "x")
    assert "3.4       MaxSim" in got.out
    assert "variant 5" in got.out
    rows = [prove.Row("exercises", True, "fine"), prove.Row("starter", False, "3 points")]
    monkeypatch.setattr(prove, "prove", lambda *_, **__: rows)
    got = command("classroom", "assign", "3", "--out", "other", "--check")
    assert got.code == 1
    assert "NO  starter: 3 points" in got.out
    assert "nothing was written" in got.out
    assert not (tmp_path / "other").exists()
    told = json.loads(command("classroom", "assign", "3", "--check", "--json").out)
    assert told["checks"][1] == {"what": "starter", "holds": False, "detail": "3 points"}

"""What an instructor asks in person, and what a learner can prove without one: both are recomputed."""

import platform
import re
import subprocess
import sys

import pytest

from classroom.assignment.spec import assignment, write_files
from classroom.cli import verify
from classroom.demo.samples import LEARNERS, files_of
from classroom.gradebook import defend as asking
from classroom.gradebook.defend import defend
from classroom.grading.grade import grade
from classroom.handout.starter import starter, write
from classroom.isolation import chosen
from classroom.learner.proof import read
from shared.errors import UserError
from tests.conftest import ROOT

A = assignment("step3")
LEVEL = chosen(None)[0]


def test_questions_are_about_the_learners_own_code_and_answered_by_it(tmp_path):
    write_files(tmp_path / "bela", files_of(LEARNERS[1], A.files))
    page = defend(tmp_path / "bela", "step3", seed=7, isolation=LEVEL)
    calls = [each for each in page.questions if each.answer]
    assert {each.about[:3] for each in calls} == {"3.1", "3.2", "3.3"}
    assert any(re.match(r"(rrf|ndcg|min_max|scaled)\(", each.code) for each in calls)
    lines = {each.about: each.code for each in page.questions if not each.answer}
    files = files_of(LEARNERS[1], A.files)
    assert {name.rpartition("/")[2] for name in lines} == {"fuse.py", "metrics.py", "rerank.py"}
    assert all(line in files[name].decode() for name, line in lines.items())
    questions, answers = page.to_markdown().split("# Answers")
    assert all(each.answer in answers for each in calls)
    assert "page-break-before" in questions


def test_nothing_written_is_nothing_to_ask_about(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "grade", lambda *_, **__: None)  # not a single call
    files = {name: content for name, content in starter(A, 0).items() if name in A.files}
    write_files(tmp_path / "empty", files)
    with pytest.raises(UserError, match="has solved nothing"):
        defend(tmp_path / "empty", "step3", seed=7, isolation=LEVEL)


def test_a_proof_is_recomputed_and_a_forged_one_does_not_hold(tmp_path):
    home = tmp_path / "starter"
    write(starter(A, 3), home)
    write_files(home, files_of(LEARNERS[1], A.files))
    command = [sys.executable, "-m", "classroom", "proof"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = home / "proof.md"
    told = read(page.read_text())
    assert (told["variant"], told["points"]["3.1"], told["points"]["3.7"]) == (3, 3, 0)
    assert told["versions"]["python"] == platform.python_version()
    facts = verify.run(page, home, LEVEL)
    assert facts["holds"], facts["wrong"]
    assert facts["points"] == told["points"]
    page.write_text(page.read_text().replace('"3.7": 0', '"3.7": 3'))
    fuse = home / "step3_rag" / "retrieve" / "fuse.py"
    fuse.write_text(fuse.read_text() + "# another\n")
    facts = verify.run(page, home, LEVEL)
    assert facts["wrong"] == ["step3_rag/retrieve/fuse.py is another file", "3.7: 0 points instead of 3"]
    fuse.unlink()
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"error: {fuse}: No such file or directory")


def older(text):
    """A text of step 2's starter with the numbers of version 0.2.0, not yet in the order of chapters."""
    was = {"2.4": "2.6", "2.5": "2.7", "2.6": "2.4", "2.7": "2.5"}
    return re.sub(
        r'("exercise |rubric\("|"id": ")(2\.[4-7])\b', lambda found: found[1] + was[found[2]], text.decode()
    ).encode()


def test_a_copy_with_older_numbers_is_graded_by_function_and_its_proof_is_refused(tmp_path):
    step2 = assignment("step2")
    files = starter(step2, 0)
    tool = "step2_tools/agent/tool.py"  # of two exercises, which are solved
    changed = {*step2.files, "classroom.json", "classroom/rubrics/step2_public.py"} - {tool}
    files |= {name: older(files[name]) for name in changed} | {tool: (ROOT / tool).read_bytes()}
    home = tmp_path / "copy"
    write(files, home)
    assert b'"exercise 2.4: A schema' not in files["step2_tools/agent/loop.py"]
    result = grade(home, "step2", seed=7, isolation=LEVEL)
    solved = {"A strict check from a signature", "Validation"}
    for item in result.items:
        assert item.status == ("passed" if item.title in solved else "not attempted")
    assert result.score == 30
    done = subprocess.run(
        [sys.executable, "-m", "classroom", "proof"], cwd=home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = (
        "exercise 2.4 was 'A strict check from a signature' .* and is 'Dispatch of a turn' now: use `grade`"
    )
    with pytest.raises(UserError, match=told):
        verify.run(home / "proof.md", home, LEVEL)


NO_CLAIMS = ["{}", "[1]", "1\n```\n```json\n1", "[" * 100_000, '{"points": {"3.1": 1e999}}']


@pytest.mark.parametrize("text", ["", *(f"```json\n{each}\n```\n" for each in NO_CLAIMS)], ids=range(6))
def test_what_is_no_page_is_refused(tmp_path, text):
    (tmp_path / "proof.md").write_text(text)
    with pytest.raises(UserError, match="not a page that `proof` made"):
        verify.run(tmp_path / "proof.md", tmp_path)


def test_a_page_that_is_missing_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"none\.md can't be read: No such file or directory$"):
        verify.run(tmp_path / "none.md", tmp_path)

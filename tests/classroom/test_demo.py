"""The demo's class of five, the command `levels`, and what the instructors' lesson says."""

import json
import re

import pytest

from classroom import isolation
from classroom.assignment.markers import places, strip
from classroom.assignment.spec import assignment
from classroom.cli import levels
from classroom.cli.demo import show
from classroom.demo import demo
from classroom.demo.samples import LEARNERS, files_of, hand_in
from classroom.gradebook import grade_class as class_run
from classroom.grading import grade as grading
from classroom.handout.starter import MANIFEST
from classroom.isolation import place
from classroom.isolation.stops import ALL, STOPS, open_at
from shared.errors import UserError
from tests.classroom.results import FULL
from tests.classroom.rubric_helpers import forger_of, rubric_of
from tests.conftest import ROOT, shown

A = assignment("step3")
ADA, BELA, CARMEN, DORA, EVE = LEARNERS
LESSON = (ROOT / "classroom" / "README.md").read_text("utf-8")


def test_bela_and_dora_get_their_points(tmp_path):
    """All but Eve are harmless."""
    bela, dora = (
        grading.grade(hand_in(each, files_of(each, A.files), tmp_path), "step3", 1, isolation="rlimits").items
        for each in (BELA, DORA)
    )
    assert [item.score for item in bela] == [10, 6, 15, 15, 0, 0, 0]
    assert {test.name: test.status for test in bela[1].tests}["test_ndcg_of_grades_cut_at_k"] == "failed"
    assert bela[4].status == "not attempted"
    assert [item.score for item in dora] == [10, 0, 15, 0, 0, 5, 0]  # she loses one file and no other
    assert all("SyntaxError" in test.cause for test in dora[1].tests)


def test_eve_gets_nothing_in_a_sandbox(tmp_path, monkeypatch):
    level, safe = isolation.chosen(None)
    if not safe:
        pytest.skip("no sandbox on this machine")
    monkeypatch.setattr(grading, "PRELOAD", {})  # libraries that these exercises do not need
    only = ["test_rrf_small", "test_ndcg_small", "test_min_max_small"]  # and not the one that never ends
    submission = hand_in(EVE, files_of(EVE, A.files), tmp_path)
    result = grading.grade(submission, "step3", 1, isolation=level, only=only)
    assert result.score == 0
    causes = {test.name: test.cause for item in result.items for test in item.tests}
    assert "Right" in causes["test_rrf_small"]
    assert re.search("PermissionError|FileNotFoundError", causes["test_ndcg_small"])
    assert re.search("PermissionError|OSError|Unreachable", causes["test_min_max_small"])
    assert "::set-output" not in result.output
    assert ": :set-output" in result.output


def test_the_demo_writes_what_it_lists_and_can_be_run_again(tmp_path, monkeypatch):
    """Nothing is graded here: everybody gets the same result."""

    def grade(_made, attempts, *_how):
        return [(key, FULL, "") for key in attempts]

    monkeypatch.setattr(class_run, "_grade", grade)
    monkeypatch.setattr(class_run, "chosen", lambda wanted: (wanted or "sandlock", True))
    out = tmp_path / "class"
    facts = demo.run(out)
    assert set(facts["open"]) == set(demo.OPEN)
    assert [each["name"] for each in facts["learners"]] == [each.name for each in LEARNERS]
    late = {each["name"]: each["late_minutes"] for each in facts["learners"] if each["late_minutes"]}
    assert late == {"carmen": 32}
    assert facts["class"]["graded_now"] == 5
    pairs = {(each["first"], each["second"]) for each in facts["class"]["similarity"]["most_similar"]}
    assert pairs == {("ada", "the reference"), ("bela", "carmen")}
    assert json.loads((out / "assignment" / MANIFEST).read_text())["step"] == "step3_rag"
    assert not list(out.glob("*.json"))  # the report page takes those of reports/classroom for records
    assert all(name in shown(show, facts) for name in demo.OPEN)
    demo._claim(out)  # its own folder may be used again
    (tmp_path / "thesis.md").write_text("mine")
    with pytest.raises(UserError, match="not empty and not of the demo"):
        demo._claim(tmp_path)


def test_levels_shows_what_works_here_and_what_it_does_not_stop(monkeypatch, capsys):
    def tried(level):
        if level == "sandlock":
            raise place.Missing("there is no Landlock here")
        return ("solutions",)

    monkeypatch.setattr(isolation, "tried", tried)
    levels.levels(as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert [each["level"] for each in facts["levels"]] == list(ALL)
    assert [each["safe"] for each in facts["levels"]] == [False, False]
    assert facts["default"] == "rlimits"
    levels.levels()
    printed = capsys.readouterr().out
    assert "there is no Landlock here" in printed
    assert re.search(r"^rlimits +NOT SAFE", printed, re.MULTILINE)
    assert all(what in printed for what in open_at("rlimits"))


def test_the_commands_are_there(command):
    words = set(command("classroom", "--help").out.split())
    assert {"assign", "defend", "demo", "grade", "grade-class", "levels", "verify"} <= words


def test_the_lesson_has_the_table_of_what_is_stopped():
    rows = [[what, *("stopped" if level in by else "**no**" for level in ALL)] for what, by in STOPS.items()]
    assert "\n".join(f"| {' | '.join(row)} |" for row in rows) in LESSON


def test_the_exercise_of_the_lesson_can_be_added(monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```$", LESSON, re.DOTALL | re.MULTILINE)
    function, *tests = [block for block in blocks if "3.8" in block]
    source = (ROOT / "step3_rag" / "evaluate" / "metrics.py").read_text("utf-8")
    body = re.sub(r"^ *### (BEGIN|END) SOLUTION.*\n", "", function, flags=re.MULTILINE)
    assert body in source  # so the step has what the lesson marks
    marked = source.replace(body, function)
    assert [each.function for each in places(marked, "metrics.py")] == ["ndcg", "mrr"]
    assert "def mrr" in strip(marked, "metrics.py")
    monkeypatch.setattr(forger_of("step3"), "tests", rubric_of("import pytest\n" + "\n\n".join(tests)))
    wrong = "patch('step3_rag.evaluate.metrics:mrr', lambda ranking, qrels, k=10: 1.0)"
    for code, status in (("", "passed"), (wrong, "failed")):
        outcomes = forger_of("step3").outcomes(["3.8"], code)
        assert {each.status for each in outcomes} == {status}
        assert [each.mark.points for each in outcomes] == [2, 3]

"""Exports run as the systems run them that they are for, in clean folders."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from classroom.assignment.spec import assignment
from classroom.demo.samples import LEARNERS, files_of, hand_in
from classroom.export import at_gradescope
from classroom.grading.grade import grade
from classroom.handout import prove
from tests.classroom.results import PARTIAL, SECRET

STEP = "step3"
A = assignment(STEP)
BELA = LEARNERS[1]
SEED = 11


def points_of(result):
    """The points of a result by test."""
    points = {}
    for item in result.items:
        for number, test in enumerate(item.tests, 1):
            points[f"{item.id}.{number}"] = test.score
    return points


@pytest.fixture(scope="module")
def bela(tmp_path_factory):
    """What Bela handed in."""
    return hand_in(BELA, files_of(BELA, A.files), tmp_path_factory.mktemp("submissions"))


@pytest.fixture(scope="module")
def graded(bela):
    """Bela's result, graded here."""
    return grade(bela, STEP, SEED)


def clean(**variables):
    """An environment without anything of this repository."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | variables


# --- Gradescope -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def autograder(tmp_path_factory, bela):
    """Gradescope's folder for one submission, which its harness unpacks there."""
    home = tmp_path_factory.mktemp("autograder")
    for folder in (home, *home.parents):
        if folder.is_relative_to(home.parents[1]):
            folder.chmod(0o755)  # as in the container; the sandbox may be another user
    packed = home / "step3.zip"
    command = [sys.executable, "-m", "classroom", "export", "gradescope", STEP, "--seed", str(SEED)]
    made = subprocess.run([*command, "--out", str(packed), "--json"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["size"] == "2 CPU, 3 GB"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(home / "source")
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    packed.unlink()
    (home / "results").mkdir()
    with zipfile.ZipFile(bela) as archive:  # as Gradescope does with an uploaded zip
        archive.extractall(home / "submission")
    for name in ("setup.sh", "run_autograder"):
        assert modes[name] & 0o111
        (home / "source" / name).chmod(0o755)
    (home / "source" / "run_autograder").rename(home / "run_autograder")
    return home


def run_autograder(home):
    """Run it as the harness does, with this Python in place of the one that setup.sh installs."""
    variables = clean(AUTOGRADER=str(home), PYTHON=sys.executable)
    command = [str(home / "run_autograder")]
    return subprocess.run(command, cwd=home, env=variables, capture_output=True, text=True)


def test_gradescope_gives_the_points_that_grade_gives(autograder, graded):
    ran = run_autograder(autograder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    text = (autograder / "results" / "results.json").read_text()
    results = json.loads(text)
    assert {test["number"]: test["score"] for test in results["tests"]} == points_of(graded)
    assert sum(test["score"] for test in results["tests"]) == graded.score == 46
    assert sum(test["max_score"] for test in results["tests"]) == 100
    assert {test["visibility"] for test in results["tests"]} == {"visible"}
    assert results["stdout_visibility"] == "hidden"
    assert str(SEED) in ran.stdout
    wrong = [
        test["output"] for test in results["tests"] if test["number"].startswith("3.2.") and not test["score"]
    ]
    assert len(wrong) == 1
    assert wrong[0].startswith("failed: ")
    assert "ndcg(" in wrong[0]


def test_the_zip_holds_one_step_and_what_setup_installs(autograder):
    source = autograder / "source"
    assert {path.name for path in source.glob("step*")} == {"step3_rag"}
    assert {path.name[:5] for path in (source / "classroom" / "rubrics").glob("step*")} == {"step3"}
    requirements = (source / "requirements.txt").read_text()
    assert "pytest" in requirements
    assert "sandlock" in requirements
    assert "llm-roadmap" not in requirements
    assert subprocess.run(["bash", "-n", source / "setup.sh"]).returncode == 0
    instructor = (source / "INSTRUCTOR.md").read_text()
    assert "2 CPU, 3 GB" in instructor
    assert "10 minutes" in instructor


def test_gradescope_shows_no_expected_value_of_a_hidden_test():
    assert SECRET not in json.dumps(at_gradescope.results(PARTIAL))


def test_a_fault_of_the_grader_leaves_no_result_on_gradescope(autograder):
    (autograder / "results" / "results.json").unlink(missing_ok=True)
    job = autograder / "source" / "job.json"
    before = job.read_text()
    job.write_text(json.dumps(json.loads(before) | {"step": "step9"}))
    ran = run_autograder(autograder)
    job.write_text(before)
    assert ran.returncode == 2
    assert "there is no step" in ran.stderr
    assert not (autograder / "results" / "results.json").exists()


# --- GitHub Actions ---------------------------------------------------------------------------------------


def public_points(result):
    """The points of a result by exercise, of public tests only."""
    points = {}
    for item in result.items:
        points[item.id] = sum(test.score for test in item.tests if test.visibility == "public")
    return points


def lay_over(submission, folder):
    """Put what was handed in over a starter, as a learner's commit does."""
    with zipfile.ZipFile(submission) as archive:
        archive.extractall(folder)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The template repository of step 3."""
    home = tmp_path_factory.mktemp("actions") / "template"
    command = [sys.executable, "-m", "classroom", "export", "actions", STEP, "--out", str(home)]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return home


def secrets_of_the_tests():
    """Names of hidden tests, and lines of solutions."""
    names = {mark.test for exercise in A.exercises for mark in exercise.marks if mark.visibility == "hidden"}
    return names | set(prove._secrets(A))


def holds_a_secret(folder):
    """The first file below a folder that holds a hidden test or a line of a solution."""
    secrets = [secret.encode() for secret in secrets_of_the_tests()]
    manifest = folder / "classroom.json"  # names each test with its rubric line, hidden ones, too
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != manifest and path.name != "starter.zip":
            content = path.read_bytes()
            if any(secret in content for secret in secrets):
                return path
    return None


def test_the_template_holds_no_hidden_test_and_no_solution(repository):
    assert holds_a_secret(repository) is None
    assert not list(repository.rglob("*hidden*"))
    (repository / "leak.py").write_text("def test_ndcg_of_grades_cut_at_k(): ...")
    assert holds_a_secret(repository) == repository / "leak.py"  # so the search works
    (repository / "leak.py").unlink()


def test_the_workflow_writes_the_points_of_public_tests_into_the_summary(repository, bela, graded, tmp_path):
    home = tmp_path / "clone"
    shutil.copytree(repository, home)
    lay_over(bela, home)
    workflow = yaml.safe_load((home / ".github" / "workflows" / "check.yml").read_text())
    [job] = workflow["jobs"].values()
    commands = {step["name"]: step["run"] for step in job["steps"] if "run" in step}
    assert set(commands) == {"Install", "Check"}
    assert workflow["permissions"] == {"contents": "read"}
    pinned = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", each) for each in pinned)
    # Install: what it names exists; pip itself needs the network.
    assert "step3" in tomllib.loads((home / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert (home / "constraints.txt").exists()
    summary = tmp_path / "summary.md"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = clean(GITHUB_STEP_SUMMARY=str(summary), PATH=path)
    ran = subprocess.run(
        ["bash", "-e", "-c", commands["Check"]], cwd=home, env=variables, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    rows = re.findall(r"^\| (3\.\d) [^|]+ \| (\d+) of \d+ \|", summary.read_text(), re.MULTILINE)
    assert {id: int(points) for id, points in rows} == public_points(graded)


# --- Classroom 50 -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def for_classroom50(tmp_path_factory):
    """What is exported for Classroom 50."""
    home = tmp_path_factory.mktemp("classroom50") / "step3"
    command = [sys.executable, "-m", "classroom", "export", "classroom50", STEP, "--out", str(home)]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return home


# What Classroom 50's runner sets, as its wiki says ("Advanced Autograding").
RUNNER = {
    "CLASSROOM": "llm-2026",
    "ASSIGNMENT": "step3",
    "SUBMISSION_TAG": "submit/2026-11-20T22-40-00Z-a1b2c3d",
    "COMMIT_URL": "https://github.com/school/step3-bela/commit/a1b2c3d",
    "RELEASE_URL": "https://github.com/school/step3-bela/releases/tag/submit",
    "REVIEW_URL": "",
    "TESTS_PYTHON": sys.executable,
}


def run_classroom50(exported, checkout):
    """Run the autograder as the runner does: in the checkout, from another folder."""
    script = exported / "autograders" / STEP / "autograder.py"
    ran = subprocess.run(
        [sys.executable, str(script)], cwd=checkout, env=clean(**RUNNER), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads((checkout / "result.json").read_text())


def test_classroom50_gives_the_points_of_public_tests(for_classroom50, bela, graded, tmp_path):
    checkout = tmp_path / "checkout"
    shutil.copytree(for_classroom50 / "template", checkout)
    lay_over(bela, checkout)
    (checkout / "tests" / "expected.json").write_text("{}")  # a learner may change anything
    (checkout / "classroom" / "learner" / "status.py").write_text("raise SystemExit(3)")
    result = run_classroom50(for_classroom50, checkout)
    assert result["schema"] == "classroom50/result/v1"
    assert (result["classroom"], result["assignment"]) == ("llm-2026", "step3")
    assert (result["submission"], result["review"]) == (RUNNER["SUBMISSION_TAG"], RUNNER["COMMIT_URL"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result["datetime"])
    points = dict.fromkeys(public_points(graded), 0)
    for test in result["tests"]:
        points[test["test-name"].split()[0]] += test["score"]
        assert test["passed"] == bool(test["score"])
    assert points == public_points(graded)
    assert result["score"] == sum(points.values())
    assert result["max-score"] == sum(test["max-score"] for test in result["tests"]) < 100


def test_nothing_for_classroom50_holds_a_hidden_test_or_a_solution(for_classroom50, tmp_path):
    manifest = for_classroom50 / "template" / "classroom.json"
    text = manifest.read_bytes()
    manifest.unlink()  # names each test, with its line
    assert holds_a_secret(for_classroom50) is None
    manifest.write_bytes(text)
    with zipfile.ZipFile(for_classroom50 / "autograders" / STEP / "starter.zip") as archive:
        archive.extractall(tmp_path)
    assert holds_a_secret(tmp_path) is None
    assert json.loads((for_classroom50 / "runtime.json").read_text())["python"] == "3.12"

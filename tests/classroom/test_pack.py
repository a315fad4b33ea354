"""The uploads: unpacked as the service does it, run as it runs them, without this repository.

What setup.sh installs there is this environment here; no network is used.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from classroom.assignment.spec import assignment
from classroom.upload import bundle as pack
from classroom.upload.requirements import pinned
from shared.errors import UserError
from tests.conftest import ROOT

SCHEMAS = ROOT / "classroom" / "upload" / "schemas"
SEED = 4711
# So that the grader finds no file of this repository but those in the upload.
ALONE = f"import sys\nsys.path[:] = [each for each in sys.path if each != {str(ROOT)!r}]\n"
CLASSROOM50 = {
    "CLASSROOM": "cs-1",
    "ASSIGNMENT": "step3-rag",
    "ASSIGNMENT_TYPE": "individual",
    "OWNER": "ada",
    "USERNAME": "ada",
    "SUBMISSION_TAG": "submit/2026-11-27T10-00-00Z-a1b2c3d",
    "COMMIT_URL": "https://github.com/o/r/commit/a1b2c3d",
    "RELEASE_URL": "https://github.com/o/r/releases/tag/submit",
    "REVIEW_URL": "https://github.com/o/r/compare/1...2",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    (folder / "sitecustomize.py").write_text(ALONE)
    return folder


def environment(place, **more):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(place), "GRADER_PYTHON": sys.executable, **more}


@pytest.fixture(scope="module")
def autograder(place):
    """Gradescope's folders: /autograder with source, submission and results."""
    facts = pack.run("gradescope", "step3", place / "autograder.zip", SEED, (0,))
    home = place / "autograder"
    with zipfile.ZipFile(place / "autograder.zip") as archive:
        for info in archive.infolist():
            path = Path(archive.extract(info, home / "source"))
            path.chmod(stat.S_IMODE(info.external_attr >> 16))
    shutil.copy(home / "source" / "run_autograder", home / "run_autograder")
    for name in ("submission", "results"):
        (home / name).mkdir()
    return home, facts


@pytest.fixture(scope="module")
def bundle(place):
    facts = pack.run("classroom50", "step3", place / "bundle", SEED, (0,))
    return place / "bundle", facts


def validate(name, document):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)


def reference_into(folder):
    a = assignment("step3")
    for name in a.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


@pytest.mark.parametrize(("solved", "score"), [(True, 100), (False, 0)])
def test_gradescope_grades_with_what_is_in_the_upload(autograder, place, solved, score):
    home, _ = autograder
    shutil.rmtree(home / "submission")
    (home / "submission").mkdir()
    (home / "results" / "results.json").unlink(missing_ok=True)
    if solved:
        reference_into(home / "submission")
    done = subprocess.run(
        [str(home / "run_autograder")],
        cwd=home,
        env=environment(place, AUTOGRADER=str(home)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((home / "results" / "results.json").read_text())
    validate("gradescope", results)
    assert results["score"] == sum(test.get("score", 0) for test in results["tests"]) == score
    assert results["extra_data"]["seed"] == SEED
    assert str(ROOT) not in json.dumps(results)


def test_gradescope_gets_no_result_where_the_grader_fails(autograder, place):
    """So that it tells the instructors, and nobody has 0 points."""
    home, _ = autograder
    (home / "results" / "results.json").unlink(missing_ok=True)
    missing = environment(place, AUTOGRADER=str(home / "nowhere"))
    assert subprocess.run([str(home / "run_autograder")], env=missing, capture_output=True).returncode
    assert not (home / "results" / "results.json").exists()


def test_the_upload_of_gradescope_is_as_its_specification_says(autograder):
    home, facts = autograder
    source = home / "source"
    for name in ("setup.sh", "run_autograder"):
        assert (source / name).read_text().startswith("#!/usr/bin/env bash\n")
        assert os.access(source / name, os.X_OK)
        subprocess.run(["bash", "-n", str(source / name)], check=True)
    setup = (source / "setup.sh").read_text()
    assert "apt-get install -y --no-install-recommends bubblewrap" in setup
    assert 'pip install --no-cache-dir -r "$here/requirements.txt"' in setup
    assert (facts["seed"], facts["step"], facts["notes"]) == (SEED, "step3_rag", [])


@pytest.mark.parametrize(("solved", "score"), [(True, 100), (False, 0)])
def test_classroom50_grades_with_what_is_in_the_bundle(bundle, place, tmp_path, solved, score):
    folder, _ = bundle
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    if solved:
        reference_into(checkout)
    for name in ("classroom", "venv", "pip", "subprocess", "json"):  # a learner's, which must not be run
        (checkout / f"{name}.py").write_text("raise SystemExit('stolen')")
    (checkout / "result.json").symlink_to(tmp_path / "elsewhere")
    done = subprocess.run(
        [sys.executable, str(folder / "autograders" / "step3-rag" / "autograder.py")],
        cwd=checkout,
        env=environment(place, **CLASSROOM50),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "elsewhere").exists()
    result = json.loads((checkout / "result.json").read_text())
    validate("classroom50", result)
    assert (result["score"], result["max-score"]) == (score, 100)
    assert (result["classroom"], result["assignment"], result["owner"]) == ("cs-1", "step3-rag", "ada")
    assert f"{score} of 100 points" in (checkout / "release-body.md").read_text()


def test_the_entry_for_classroom50_follows_its_schema(bundle):
    folder, facts = bundle
    entry = json.loads((folder / "assignment.json").read_text())
    validate("classroom50-assignment", entry)
    assert entry["slug"] == "step3-rag"
    assert entry["allowed_files"][0] == "*"
    assert "!step3_rag/retrieve/fuse.py" in entry["allowed_files"]
    assert json.loads((folder / "runtime.json").read_text()) == entry["runtime"]
    assert "publishes this bundle on GitHub Pages" in facts["notes"][0]
    assert "can read the solutions and the hidden tests" in (folder / "README.md").read_text()


def test_no_upload_names_an_address_to_install_from(autograder, bundle):
    folders = (autograder[0] / "source", bundle[0] / "autograders" / "step3-rag")
    files = [folder / "requirements.txt" for folder in folders]
    for path in (*files, folders[0] / "setup.sh", folders[1] / "autograder.py"):
        assert not re.search(r"://|index-url|find-links|trusted-host", path.read_text()), path


def test_requirements_are_those_of_constraints_and_only_what_grading_needs(autograder):
    lines = (autograder[0] / "source" / "requirements.txt").read_text().splitlines()
    found = {canonicalize_name(Requirement(line).name): line for line in lines}
    pins = [line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    known = {canonicalize_name(name): version for name, version in pins}
    for name, line in found.items():
        assert f"=={known[name]}" in line, line
    assert {"pytest", "pydantic", "numpy", "langgraph", "sandlock", "typer"} <= set(found)
    assert not {"torch", "transformers", "chromadb", "copydetect", "matplotlib", "llm-roadmap"} & set(found)
    assert tuple(lines) == pinned("step3_rag")


def test_neither_other_steps_nor_their_tests_go_along(autograder, place):
    source = autograder[0] / "source"
    files = [path for path in (source / "grader").rglob("*") if path.is_file()]
    names = {path.relative_to(source).as_posix() for path in files if "__pycache__" not in path.parts}
    assert {name.split("/")[1] for name in names} == {"classroom", "shared", "step3_rag"}
    rubrics = {name.rpartition("/")[2] for name in names if "/rubrics/" in name}
    assert all(name.startswith(("step3", "__init__")) for name in rubrics)
    assert any(name.startswith("step3_hidden") for name in rubrics)
    assert "grader/classroom/gradebook/grade_class.py" not in names
    with zipfile.ZipFile(place / "autograder.zip") as archive:  # running it left its caches in the folder
        packed = archive.namelist()
    assert not any("__pycache__" in name or name.endswith((".pyc", ".png")) for name in packed)


def test_the_same_files_are_the_same_zip():
    files = {"setup.sh": b"a", "grader/b.py": b"b"}
    assert pack.zipped(files) == pack.zipped(dict(reversed(files.items())))


def test_what_can_t_be_is_refused_before_any_work(tmp_path):
    with pytest.raises(UserError, match=r"Gradescope takes a \.zip"):
        pack.run("gradescope", "step3", tmp_path / "autograder", 1, (0,))
    with pytest.raises(UserError, match="2 to 39 lower-case letters"):
        pack.run("classroom50", "step3", tmp_path / "bundle", 1, (0,), slug="Step 3")
    with pytest.raises(UserError, match="there is no step"):
        pack.run("classroom50", "step9", tmp_path / "bundle", 1, (0,))
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_is_there_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("classroom.upload.requirements.pinned", lambda _step: ["pytest==9.2.0"])
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        pack.run("classroom50", "step3", tmp_path / "bundle", 1, (0,))
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["mine.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_bundle_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("classroom.upload.requirements.pinned", lambda _step: ["pytest==9.2.0"])
    monkeypatch.setattr(pack, "MAX_BUNDLE", 1 << 17)
    with pytest.raises(UserError, match="the bundle has"):
        pack.run("classroom50", "step3", tmp_path / "bundle", 1, (0,))


def test_the_command_says_what_it_made_and_what_is_public(tmp_path, command, monkeypatch):
    monkeypatch.setattr("classroom.upload.requirements.pinned", lambda _step: ["pytest==9.2.0"])
    line = ("classroom", "pack", "classroom50", "--step", "step3", "--seed", "5")
    got = command(*line, "--out", str(tmp_path / "bundle"))
    assert got.code == 0, got.err
    assert "1 packages to install, seed 5" in got.out
    assert "solutions and hidden tests included" in got.out
    facts = json.loads(command(*line, "--out", str(tmp_path / "other"), "--slug", "rag", "--json").out)
    assert (facts["seed"], facts["requirements"]) == (5, 1)
    assert (tmp_path / "other" / "autograders" / "rag" / "autograder.py").exists()

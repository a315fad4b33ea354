"""The upload: unpacked as Gradescope does it, run as it runs it, without this repository.

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
from shared.errors import UserError
from tests.conftest import ROOT

SEED = 4711
# So that the grader finds no file of this repository but those in the upload.
ALONE = f"import sys\nsys.path[:] = [each for each in sys.path if each != {str(ROOT)!r}]\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    (folder / "sitecustomize.py").write_text(ALONE)
    return folder


@pytest.fixture(scope="module")
def home(place):
    """Gradescope's folders: /autograder with source, submission and results."""
    facts = pack.run("step3", place / "autograder.zip", SEED, (0,))
    assert (facts["seed"], facts["step"]) == (SEED, "step3_rag")
    home = place / "autograder"
    with zipfile.ZipFile(place / "autograder.zip") as archive:
        for info in archive.infolist():
            path = Path(archive.extract(info, home / "source"))
            path.chmod(stat.S_IMODE(info.external_attr >> 16))
    shutil.copy(home / "source" / "run_autograder", home / "run_autograder")
    (home / "results").mkdir()
    return home


def run_autograder(home, place, autograder=None):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    whole = {**kept, "PYTHONPATH": str(place), "GRADER_PYTHON": sys.executable}
    environment = {**whole, "AUTOGRADER": str(autograder or home)}
    command = [str(home / "run_autograder")]
    (home / "results" / "results.json").unlink(missing_ok=True)
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)


def test_gradescope_grades_with_what_is_in_the_upload(home, place):
    a = assignment("step3")
    for name in a.files[:-1]:
        (home / "submission" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, home / "submission" / name)
    done = run_autograder(home, place)
    assert done.returncode == 0, done.stderr
    results = json.loads((home / "results" / "results.json").read_text())
    jsonschema.validate(results, json.loads((pack.TEMPLATES.parent / "schemas/gradescope.json").read_text()))
    lost = sum(task.exercise.points for task in a.tasks if a.files[-1] in task.files)
    assert results["score"] == sum(test.get("score", 0) for test in results["tests"]) == 100 - lost
    assert results["extra_data"]["seed"] == SEED
    assert str(ROOT) not in json.dumps(results)


def test_gradescope_gets_no_result_where_the_grader_fails(home, place):
    """So that it tells the instructors, and nobody has 0 points."""
    assert run_autograder(home, place, home / "nowhere").returncode
    assert not (home / "results" / "results.json").exists()


def test_the_upload_is_as_the_specification_says(home):
    source = home / "source"
    for name in ("setup.sh", "run_autograder"):
        assert (source / name).read_text().startswith("#!/usr/bin/env bash\n")
        assert os.access(source / name, os.X_OK)
        subprocess.run(["bash", "-n", str(source / name)], check=True)
    setup = (source / "setup.sh").read_text()
    assert "apt-get install -y --no-install-recommends bubblewrap" in setup
    assert 'pip install --no-cache-dir -r "$here/requirements.txt" -c "$here/constraints.txt"' in setup
    for text in (setup, (source / "requirements.txt").read_text()):  # no address to install from
        assert not re.search(r"://|index-url|find-links|trusted-host", text)


def test_requirements_are_those_of_constraints_and_only_what_grading_needs(home):
    lines = (home / "source" / "requirements.txt").read_text().splitlines()
    found = {canonicalize_name(Requirement(line).name): line for line in lines}
    pins = [line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    known = {canonicalize_name(name): version for name, version in pins}
    for name, line in found.items():
        assert f"=={known[name]}" in line, line
    assert {"pytest", "pydantic", "numpy", "langgraph", "sandlock", "typer"} <= set(found)
    assert not {"torch", "transformers", "chromadb", "copydetect", "matplotlib", "llm-roadmap"} & set(found)


def test_neither_other_steps_nor_their_tests_go_along(place, home):
    with zipfile.ZipFile(place / "autograder.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith("grader/")]
    assert {name.split("/")[1] for name in names} == {"classroom", "shared", "step3_rag"}
    rubrics = {name.rpartition("/")[2] for name in names if "/rubrics/" in name}
    assert all(name.startswith(("step3", "__init__")) for name in rubrics)
    assert any(name.startswith("step3_hidden") for name in rubrics)
    assert "grader/classroom/gradebook/grade_class.py" not in names
    assert not any("__pycache__" in name or name.endswith((".pyc", ".png")) for name in names)
    files = {"setup.sh": b"a", "grader/b.py": b"b"}
    assert pack.zipped(files) == pack.zipped(dict(reversed(files.items())))


def test_the_command_says_what_it_made_and_refuses_what_cannot_be(tmp_path, command, monkeypatch):
    monkeypatch.setattr("classroom.upload.requirements.pinned", lambda _step: ["pytest==9.2.0"])
    line = ("classroom", "pack", "gradescope", "--step", "step3", "--seed", "5")
    got = command(*line, "--out", str(tmp_path / "a.zip"))
    assert got.code == 0, got.err
    assert "1 packages to install, seed 5" in got.out
    with pytest.raises(UserError, match=r"Gradescope takes a \.zip"):
        pack.run("step3", tmp_path / "autograder", 1, (0,))
    with pytest.raises(UserError, match="there is no step"):
        pack.run("step9", tmp_path / "b.zip", 1, (0,))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]

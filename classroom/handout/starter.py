"""Make an assignment: a folder that stands alone, with a step's code, without any solution.

    files = starter(assignment("step3"), variant=7)      by path, in memory
    write(files, Path("out"), force=False)               whole, or not at all

    out/  HANDOUT.md  AGENTS.md  GLOSSARY.md  Makefile  pyproject.toml  classroom.json
          tests/  classroom/  shared/  step3_rag/

`classroom.json` is the manifest: the exercises with their files and hints, and a hash of each file. The
folder holds neither the tests of this repository nor the hidden ones.
"""

import hashlib
import json
import posixpath
import tempfile
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from classroom.assignment.rubric import MANIFEST, SCHEMA, files_of, rubric_tests
from classroom.assignment.spec import ROOT, Assignment, classroom_files, stripped, write_files
from classroom.grading.runner import run_tests
from classroom.grading.submission import CallRecord, Local
from classroom.handout import excerpts, texts
from shared.errors import UserError

IGNORED = ".venv/\n__pycache__/\n*.egg-info/\n.pytest_cache/\n.env\nhand-in.tar.gz\n"
IGNORED += ".classroom.json\n"  # of hint
# The parts of `classroom` that learners get: the commands, and what runs the public tests.
FOR_LEARNERS = [
    *("learner/*.py", "assignment/__init__.py", "assignment/rubric.py", "drivers/__init__.py"),
    *("rubrics/__init__.py", "grading/__init__.py", "grading/callbacks.py", "grading/calls.py"),
    "grading/compare.py",
    *("grading/draw.py", "grading/runner.py", "grading/submission.py"),
    *("grading/words.txt", "protocol/__init__.py", "protocol/arrays.py", "protocol/wire.py"),
]


def starter(a: Assignment, variant: int) -> dict[str, bytes]:
    """All files of an assignment.

    Raises:
        UserError: a marker is wrong, or this is no clone of the repository.
    """
    for needed in ("pyproject.toml", "constraints.txt", "LICENSE", "GLOSSARY.md"):
        if not (ROOT / needed).exists():
            raise UserError(f"{needed} is not at {ROOT}: assign works in a clone of the repository")
    tests, examples = record(a.step, variant)
    expected = json.dumps({"variant": variant, "tests": tests}, ensure_ascii=False, separators=(",", ":"))
    files = stripped(a.packages, a.prefix) | _classroom(a)
    files |= {name: (ROOT / name).read_bytes() for name in ("constraints.txt", "LICENSE", "GLOSSARY.md")}
    readme = f"{a.step}/README.md"
    files[readme] = texts.for_a_copy(files[readme].decode()).encode()
    public = [path.relative_to(ROOT).as_posix() for path in files_of(a.step, public_only=True)]
    files |= texts.texts(a, variant, examples, public)
    files |= {"tests/expected.json": expected.encode(), ".gitignore": IGNORED.encode()}
    there = {*files, *(str(each) for name in files for each in PurePosixPath(name).parents), MANIFEST}
    for name in files:
        package, _, rest = name.partition("/")
        if rest.endswith(".md") and package in a.packages:
            text = excerpts.renew(
                files[name].decode(),
                lambda file, package=package: files[posixpath.normpath(f"{package}/{file}")].decode(),
            )
            files[name] = texts.without_dangling(text, str(PurePosixPath(name).parent), there).encode()
    files["GLOSSARY.md"] = texts.without_dangling(files["GLOSSARY.md"].decode(), "", there).encode()
    files[MANIFEST] = _manifest(a, variant, files)
    return dict(sorted(files.items()))


def record(step: str, variant: int) -> tuple[dict[str, list[Any]], dict[str, list[CallRecord]]]:
    """Run the public tests on the reference: the values of each test's checks, and the calls by exercise.

    A learner has no reference to compare with. The inputs are drawn from the variant, so another variant has
    other values.

    Raises:
        RuntimeError: the reference fails its own test.
    """
    made: dict[str, Local] = {}
    examples: dict[str, list[CallRecord]] = {}
    tests = rubric_tests(step, public_only=True)
    for outcome in run_tests(tests, lambda mark: made.setdefault(mark.test, Local()), 0, variant):
        if not outcome.score:
            raise RuntimeError(f"{outcome.mark.test} fails on the reference: {outcome.cause}")
        examples.setdefault(outcome.mark.id, []).extend(outcome.calls)
    return {test: local.record for test, local in made.items()}, examples


def _classroom(a: Assignment) -> dict[str, bytes]:
    """The learner's part of this package, with the public tests and what they need."""
    files = classroom_files(*FOR_LEARNERS, f"drivers/{a.number}*.py", f"rubrics/{a.number}_*.py")
    files = {name: content for name, content in files.items() if "_hidden" not in name}
    files["classroom/__main__.py"] = files["classroom/learner/__main__.py"]
    return files


def _manifest(a: Assignment, variant: int, files: dict[str, bytes]) -> bytes:
    told = {
        "schema": SCHEMA,
        "step": a.step,
        "title": a.title,
        "variant": variant,
        "exercises": [asdict(each) for each in a.exercises],
        "sha256": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
    }
    return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode()


def write(files: dict[str, bytes], out: Path, force: bool = False) -> None:
    """Write the folder. An error leaves nothing behind, and an existing folder unchanged.

    Raises:
        UserError: the folder exists already, or can't be written.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out} is not a folder; name one that is new or empty")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise UserError(f"{out} is not empty; name a new folder, or replace it with --force")
    if force and (out / ".git").exists():
        raise UserError(f"{out} is a git repository, which --force would delete; name another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
            made = Path(temporary) / "made"
            write_files(made, files)
            before = Path(temporary) / "before"
            if out.exists():
                out.rename(before)
            try:
                made.rename(out)
            except OSError:
                if before.exists():
                    before.rename(out)
                raise
    except OSError as error:
        raise UserError(f"{out} can't be written: {error.strerror}") from None

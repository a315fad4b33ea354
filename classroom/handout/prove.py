"""`assign --check`: check that an assignment can be solved and graded, and reveals no solution.

    exercises          5 to 8, 100 points together
    solutions          no line of one in any file of the starter
    reference          gets 100
    starter            gets 0, and every exercise is "not attempted"
    public tests       pass in a starter with the reference's files

A line of a solution is code, a comment or a line of a docstring between the markers, of more than 12
characters, that occurs nowhere else in the step's code.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from classroom.assignment.spec import ROOT, Assignment, markers, sources
from classroom.grading.grade import grade
from classroom.grading.result import Result
from classroom.handout.starter import write
from shared.errors import UserError
from shared.progress import track

TRIVIAL = 12  # characters
SECONDS = 300  # for the public tests


@dataclass(frozen=True)
class Row:
    """One check of the assignment."""

    what: str
    holds: bool
    detail: str


def prove(a: Assignment, files: dict[str, bytes], variant: int, isolation: str | None = None) -> list[Row]:
    """Run all checks."""
    rows = [_exercises(a), _solutions(a, files)]
    with tempfile.TemporaryDirectory(prefix="classroom-") as folder:
        made = Path(folder) / "starter"
        write(files, made)
        tries: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
            ("reference", lambda: _all_end(_graded(ROOT, a, variant, isolation), "passed", 100)),
            ("starter", lambda: _all_end(_graded(made, a, variant, isolation), "not attempted", 0)),
            ("public tests", lambda: _public_tests(made, a)),
        ]
        for what, run in track("checking", tries, itemgetter(0)):
            try:
                rows.append(Row(what, *run()))
            except UserError as error:
                rows.append(Row(what, False, str(error)))
    return rows


def _exercises(a: Assignment) -> Row:
    n, points = len(a.exercises), sum(each.points for each in a.exercises)
    return Row("exercises", 5 <= n <= 8 and points == 100, f"{n}, {points} points")


def _solutions(a: Assignment, files: dict[str, bytes]) -> Row:
    """Whether no line of a solution is in any file."""
    secret = _secrets(a)
    for name, content in files.items():
        for line, place in secret.items():
            written = json.dumps(line, ensure_ascii=False)[1:-1] if name.endswith(".json") else line
            if written.encode() in content:
                return Row("solutions", False, f"{name} holds a line of {place}: {line[:60]}")
    return Row("solutions", True, f"none of {len(secret)} lines is in {len(files)} files")


def _secrets(a: Assignment) -> dict[str, str]:
    """The lines of solutions that occur nowhere else in the step's code, with their places."""
    secret, kept = dict[str, str](), list[str]()
    for name, path in sources(a.packages).items():
        source = path.read_text("utf-8") if name.endswith(".py") else ""
        marked = markers.places(source, name) if "### BEGIN SOLUTION" in source else []
        kept.append(markers.strip(source, name, a.prefix) if marked else source)
        for place in marked:
            if place.id.startswith(a.prefix):
                for line in source.splitlines()[place.first : place.last - 1]:
                    secret |= dict.fromkeys(_parts(line), f"{place.id} ({name}:{place.first})")
    given = "\n".join(kept)
    return {line: place for line, place in secret.items() if line not in given}


def _parts(line: str) -> Iterator[str]:
    """A line, its code without the comment behind it, and the comment without its sign."""
    line = line.strip()
    code, sign, comment = line.partition("# ")
    for part in (line, code.strip(), comment.strip() if sign else ""):
        if len(part) > TRIVIAL:
            yield part


def _graded(path: Path, a: Assignment, variant: int, isolation: str | None) -> Result:
    return grade(path, a.step, 1, (variant,), isolation, seconds=600)


def _all_end(result: Result, status: str, score: int) -> tuple[bool, str]:
    """Whether all tests end so, with this score."""
    wrong = [
        f"{test.name} {test.status} ({test.cause[:120]})"
        for item in result.items
        for test in item.tests
        if test.status != status
    ]
    return not wrong and result.score == score, "; ".join([f"{result.score} points", *wrong[:3]])


def _public_tests(made: Path, a: Assignment) -> tuple[bool, str]:
    """Run the public tests in the starter, with the reference's files."""
    for name in a.files:
        (made / name).write_bytes((ROOT / name).read_bytes())
    return _run(made, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider")


def _run(made: Path, *args: str) -> tuple[bool, str]:
    """Run Python in the starter; whether it went well, and its last line."""
    hidden = ("PYTHONPATH", "PYTEST_ADDOPTS")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # plugins of this environment, which a learner's may lack
    command = [sys.executable, "-B", *args]
    try:
        done = subprocess.run(command, cwd=made, env=env, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False, f"it took more than {SECONDS} s"
    printed = (done.stdout.strip() or done.stderr.strip() or "nothing was printed").splitlines()
    return done.returncode == 0, printed[-1][:300]

"""`assign --check`: proof that an assignment can be done, can be graded, and gives nothing away.

    exercises          5 to 8, 100 points together, three hints each
    solutions          no line of one in any file of the starter
    reference          gets 100
    starter            gets 0, and every exercise is "not attempted"
    imports            every module of the starter, as far as its libraries are installed
    public tests       pass in a starter that has the reference's files

A line of a solution is code, a comment or a line of a docstring between the markers, of more than 12
characters, that stands nowhere else in the step's own code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.assignment.spec import ROOT, Assignment, markers, sources
from classroom.grading.grade import grade
from classroom.grading.result import Result
from classroom.handout.starter import write
from shared.errors import UserError

TRIVIAL = 12  # characters
IMPORT_SECONDS = 300
IMPORTS = """
import importlib, sys
wrong, missing = [], set()
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        library = str(error.name).split(".")[0]
        if library in OURS: wrong.append(f"{name}: {error}")
        else: missing.add(library)
    except BaseException as error:
        wrong.append(f"{name}: {type(error).__name__}: {error}")
without = f"; not installed: {', '.join(sorted(missing))}" if missing else ""
print(wrong[0] if wrong else f"{len(sys.argv) - 1} modules{without}")
sys.exit(bool(wrong))
"""


@dataclass(frozen=True)
class Row:
    """What was held against the assignment."""

    what: str
    holds: bool
    detail: str


def prove(
    a: Assignment,
    files: dict[str, bytes],
    variant: int,
    isolation: str | None = None,
    on_stage: Callable[[str], None] = lambda _what: None,
) -> list[Row]:
    """Hold everything against an assignment; `on_stage` is told what is tried next."""
    rows = [_exercises(a), _solutions(a, files)]
    with tempfile.TemporaryDirectory(prefix="classroom-") as folder:
        made = Path(folder) / "starter"
        write(files, made)
        tries: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
            ("reference", lambda: _full_points(_graded(ROOT, a, variant, isolation))),
            ("starter", lambda: _not_attempted(_graded(made, a, variant, isolation))),
            ("imports", lambda: _imports(made, files)),
            ("public tests", lambda: _public_tests(made, a)),
        ]
        for what, run in tries:
            on_stage(what)
            try:
                rows.append(Row(what, *run()))
            except UserError as error:
                rows.append(Row(what, False, str(error)))
    return rows


def _exercises(a: Assignment) -> Row:
    points = sum(task.exercise.points for task in a.tasks)
    hints = [task.id for task in a.tasks if len(task.exercise.hints) != 3]
    holds = 5 <= len(a.tasks) <= 8 and points == 100 and not hints
    without = f"; not three hints: {', '.join(hints)}" if hints else ""
    return Row("exercises", holds, f"{len(a.tasks)}, {points} points{without}")


def _solutions(a: Assignment, files: dict[str, bytes]) -> Row:
    """No line of a solution in any file."""
    secret, elsewhere = _fragments(a)
    secret = {each: where for each, where in secret.items() if each not in elsewhere}
    for name, content in files.items():
        text = _text(name, content)
        for fragment, where in secret.items():
            if fragment in text:
                return Row("solutions", False, f"{name} holds a line of {where}: {fragment[:60]}")
    return Row("solutions", True, f"none of {len(secret)} lines is in {len(files)} files")


def _fragments(a: Assignment) -> tuple[dict[str, str], str]:
    """The lines of solutions, with where they stand, and all other code of the step as one text."""
    secret: dict[str, str] = {}
    others: list[str] = []
    for name, path in sources(a.packages).items():
        if not name.endswith(".py"):
            continue
        source = path.read_text("utf-8")
        places = [each for each in markers.places(source, name) if each.id.startswith(a.prefix)]
        for i, line in enumerate(source.splitlines(), 1):
            place = next((each for each in places if each.first <= i <= each.last), None)
            if place is None:
                others.append(line.strip())
            elif place.holds(i):
                secret |= dict.fromkeys(_parts(line), f"{place.id} ({name}:{i})")
    return secret, "\n".join(others)


def _parts(line: str) -> Iterator[str]:
    """A line, its code without the comment behind it, and the comment without its sign."""
    line = line.strip()
    code, sign, comment = line.partition("# ")
    for part in (line, code.strip(), comment.strip() if sign else ""):
        if len(part) > TRIVIAL:
            yield part


def _text(name: str, content: bytes) -> str:
    """A file's text with all lines flush left; of JSON, its strings."""
    try:
        text = content.decode()
        if name.endswith(".json"):
            text = "\n".join(_strings(json.loads(text)))
    except ValueError:
        return ""  # a picture
    return "\n".join(line.strip() for line in text.splitlines())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for each in value.items() if isinstance(value, dict) else value:
            yield from _strings(list(each) if isinstance(each, tuple) else each)


def _graded(path: Path, a: Assignment, variant: int, isolation: str | None) -> Result:
    return grade(path, a.step, 1, (variant,), isolation, seconds=600)


def _full_points(result: Result) -> tuple[bool, str]:
    lost = [
        f"{item.id} {item.status}: {item.cause[:120]}" for item in result.items if item.score < item.points
    ]
    return not lost and result.score == 100, "; ".join([f"{result.score} points", *lost])


def _not_attempted(result: Result) -> tuple[bool, str]:
    wrong = [
        f"{test.name} {test.status} ({test.cause[:120]})"
        for item in result.items
        for test in item.tests
        if test.status != "not attempted"
    ]
    return not wrong and result.score == 0, f"{result.score} points" + "".join(
        f"; {each}" for each in wrong[:3]
    )


def _imports(made: Path, files: Iterable[str]) -> tuple[bool, str]:
    names = [each for each in files if each.endswith(".py") and not each.startswith("tests/")]
    modules = [each.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for each in names]
    ours = sorted({each.split(".")[0] for each in modules})
    return _run(made, "-c", IMPORTS.replace("OURS", repr(ours)), *modules)


def _public_tests(made: Path, a: Assignment) -> tuple[bool, str]:
    """In the starter, with the reference's files in their places."""
    for name in a.files:
        (made / name).write_bytes((ROOT / name).read_bytes())
    return _run(made, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider")


def _run(made: Path, *args: str) -> tuple[bool, str]:
    """Run Python in the starter; whether it went well, and its last line."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")
    }
    try:
        done = subprocess.run(
            [sys.executable, "-B", *args],
            cwd=made,
            env=environment,
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False, f"it took more than {IMPORT_SECONDS} s"
    said = (done.stdout.strip() or done.stderr.strip() or "nothing was said").splitlines()
    return done.returncode == 0, said[-1][:300]

"""Run public tests on the code in this folder, in a process of its own, which may hang or die.

    run(root, ["test_rrf_small"])      {"test_rrf_small": LocalOutcome(status="passed", ...)}

Code that ends the process, or has to be ended, costs its own test only: the others are run in a new one. See
process.py for the other side. Nothing here keeps code from doing harm: it is the learner's own, on the
learner's own machine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import UserError

FRAME = re.compile(r'File "(.+)", line (\d+) in ')  # of faulthandler, the innermost first
STEP = re.compile(r"step\d+_\w+")


@dataclass(frozen=True)
class LocalOutcome:
    """How a test ended: passed, failed, not attempted, timed out, crashed."""

    test: str
    status: str
    cause: str = ""
    place: str = ""  # file:line, where something was raised or went on for too long
    calls: list[dict[str, Any]] = field(default_factory=list)  # that went wrong: call, got, expected, verdict
    printed: str = ""


def run(root: Path, tests: Sequence[str], files: Sequence[str] = ()) -> dict[str, LocalOutcome]:
    """Outcomes by test. `files` are those that may just have been written to.

    Raises:
        UserError: the tests can't be run at all.
    """
    for file in files:  # a .pyc counts as new where a file has its size and was saved in the same second
        with contextlib.suppress(OSError, NotImplementedError):
            Path(importlib.util.cache_from_source(str(root / file))).unlink(missing_ok=True)
    found: dict[str, LocalOutcome] = {}
    while waiting := [test for test in tests if test not in found]:
        found |= _in_process(root, waiting)
    return found


def _in_process(root: Path, tests: list[str]) -> dict[str, LocalOutcome]:
    """The outcomes of all tests, or up to the one that ended the process."""
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryDirectory(prefix="classroom-", ignore_cleanup_errors=True) as folder:
        out, errors = Path(folder) / "out", Path(folder) / "errors"
        with errors.open("wb") as file:
            done = subprocess.run(
                [sys.executable, "-m", "classroom.learner.process", str(out), *tests],
                cwd=root,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
            )
        lines = out.read_text("utf-8").splitlines() if out.exists() else []
        return _read(root, lines, errors.read_text("utf-8", "replace"), done.returncode, tests)


def _read(root: Path, lines: list[str], errors: str, code: int, tests: list[str]) -> dict[str, LocalOutcome]:
    """What the process said, and what its end says of the test that it was at."""
    found: dict[str, LocalOutcome] = {}
    begun = ""
    for told in map(json.loads, lines):
        if "problem" in told:
            raise UserError(f"the public tests can't be run: {told['problem']}")
        if "begin" in told:
            begun = told["begin"]
        else:
            found.setdefault(told["test"], LocalOutcome(**told))
    late = "Timeout (" in errors
    if begun and begun not in found:
        kind, cause = ("timed out", "no answer in time") if late else ("crashed", "ended the process")
        places = (own(root, file, int(line)) for file, line in FRAME.findall(errors))
        cause += "" if late else f", exit code {code}"
        found[begun] = LocalOutcome(begun, kind, cause, next(filter(None, places), ""))
    if not set(tests) & set(found):
        unknown = f"{tests[0]} is not among them; were they changed?"
        said = ["they don't begin"] if late else errors.strip().splitlines()[-1:] or [unknown]
        raise UserError(f"the public tests can't be run: {said[0][:300]}")
    return found


def own(root: Path, file: str, line: int) -> str:
    """`step3_rag/retrieve/fuse.py:31` of a file of the step, nothing of another."""
    try:
        inside = Path(file).relative_to(root)
    except ValueError:
        return ""
    return f"{inside.as_posix()}:{line}" if STEP.fullmatch(inside.parts[0]) else ""

"""The process in which public tests run: each with its time, its place, and what it prints.

python -m classroom.learner.process OUT test_rrf_small ...      writes lines of JSON to OUT

{"begin": "test_rrf_small"}
{"test": "test_rrf_small", "status": "failed", "cause": "...", "place": "step3_rag/.../fuse.py:41", ...}
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import io
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from classroom.assignment.rubric import RubricError, RubricTest, rubric_tests
from classroom.grading.expected import Expected
from classroom.grading.runner import TestOutcome, run_tests
from classroom.learner.folder import ROOT, Starter
from classroom.learner.trial import LocalOutcome, own

LONG = 30  # s more, for code that lets no other thread run
START = 300  # s, until the first test begins
PRINTED = 2000  # characters that are kept of what a test prints
Say = Callable[..., None]


class Printed(io.StringIO):
    """The beginning of what a test prints."""

    def write(self, text: str, /) -> int:
        super().write(text[: max(0, PRINTED - self.tell())])
        return len(text)


def run(test: RubricTest, expected: Expected, say: Say) -> None:
    """Run one test in its time; what can't be ended ends the process."""
    local, printed, main = expected.local(test.mark), Printed(), threading.get_ident()

    def late() -> None:
        frame, place = sys._current_frames()[main], ""
        while frame is not None and not place:
            place, frame = own(ROOT, frame.f_code.co_filename, frame.f_lineno), frame.f_back
        calls = [asdict(seen) for seen in local.calls[-1:]]
        cause = f"no answer in {test.mark.timeout:g} s"
        say(**asdict(LocalOutcome(test.mark.test, "timed out", cause, place, calls, printed.getvalue())))
        os._exit(3)

    timer = threading.Timer(test.mark.timeout, late)
    timer.daemon = True
    faulthandler.dump_traceback_later(test.mark.timeout + LONG, exit=True, file=2)
    say(begin=test.mark.test)
    timer.start()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            [outcome] = run_tests([test], lambda _mark: local, 0, expected.variant, depends=False)
    finally:
        timer.cancel()
    say(**asdict(in_words(outcome, printed.getvalue())))


def in_words(ended: TestOutcome, printed: str) -> LocalOutcome:
    """What runner.py says of a test, in words for a learner."""
    status, cause = ended.status, ended.cause
    if status == "not attempted" and not cause.startswith(f"exercise {ended.mark.id}:"):
        status, cause = "failed", f"needs {cause}"
    elif status == "broken":  # SystemExit, or an object that the test stumbles over
        status, cause = "failed", f"raised {cause}"
    wrong = [seen for seen in ended.calls if seen.verdict != "ok"] or ended.calls[-1:]
    calls = [] if status == "passed" else [asdict(seen) for seen in wrong]
    return LocalOutcome(ended.mark.test, status, cause, raised_at(ended.error), calls, printed)


def raised_at(error: BaseException | None) -> str:
    """The innermost line of the step's own."""
    if error is None:
        return ""
    error = error.__cause__ or error  # submission.py says what was raised, from what was raised
    if isinstance(error, SyntaxError) and error.filename:
        return own(ROOT, error.filename, error.lineno or 1)
    place, trace = "", error.__traceback__
    while trace is not None:
        place = own(ROOT, trace.tb_frame.f_code.co_filename, trace.tb_lineno) or place
        trace = trace.tb_next
    return place


def main() -> None:
    """Run these tests against what was recorded, and end, whatever threads are left."""
    out, *names = sys.argv[1:]
    faulthandler.enable()
    faulthandler.dump_traceback_later(START, exit=True, file=2)
    lines = Path(out).open("a", encoding="utf-8")  # noqa: SIM115  (until the process ends)

    def say(**told: object) -> None:
        lines.write(json.dumps(told) + "\n")
        lines.flush()

    starter = Starter.load(ROOT)
    for file in dict.fromkeys(file for each in starter.exercises for file in each.files):
        with contextlib.suppress(BaseException):  # its tests will say so; libraries cost no test its time
            importlib.import_module(file.removesuffix(".py").replace("/", "."))
    expected = Expected.load(ROOT / "tests" / "expected.json")
    try:
        for test in rubric_tests(starter.step, public_only=True):
            if test.mark.test in names:
                run(test, expected, say)
    except RubricError as error:
        say(problem=str(error)[-300:])
    os._exit(0)


if __name__ == "__main__":
    main()

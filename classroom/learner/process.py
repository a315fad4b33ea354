"""The process in which public tests run: each with its time, its place, and what it prints.

    python -m classroom.learner.process OUT test_rrf_small ...      writes lines of JSON to OUT

    {"begin": "test_rrf_small"}
    {"test": "test_rrf_small", "status": "failed", "cause": "...", "place": "step3_rag/.../fuse.py:41", ...}

A test has the time that its mark allows, without the time that libraries take to be imported.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from classroom.assignment.quiet import quietly
from classroom.assignment.rubric import files_of, mark_of
from classroom.grading.expected import Expected
from classroom.grading.plugin import RubricPlugin, TestOutcome
from classroom.learner.folder import ROOT, Starter
from classroom.learner.trial import LocalOutcome, own

TICK = 0.1  # s
LONG = 60  # s more, for imports, and for code that lets no other thread run
START = 300  # s, until a test begins
PRINTED = 2000  # characters that are kept of what a test prints


class Printed(io.StringIO):
    """The beginning of what a test prints."""

    def write(self, text: str, /) -> int:
        super().write(text[: max(0, PRINTED - self.tell())])
        return len(text)


class Guard:
    """Says so when the main thread has had its time, and where it is, unless it imports something."""

    def __init__(self, late: Callable[[str], None]) -> None:
        self._late, self._left = late, 0.0
        self._main = threading.get_ident()
        threading.Thread(target=self._watch, daemon=True).start()

    @contextlib.contextmanager
    def allow(self, seconds: float) -> Iterator[None]:
        """`seconds` for what is done within."""
        _end_in(seconds + LONG)
        self._left = seconds
        try:
            yield
        finally:
            self._left = 0.0
            _end_in(START)

    def _watch(self) -> None:
        while True:
            time.sleep(TICK)
            left = self._left
            importing, place = _now(sys._current_frames().get(self._main))
            if left and not importing:
                self._left = left - TICK
                if self._left <= 0:
                    self._late(place)


def _end_in(seconds: float) -> None:
    """The last resort, with a traceback: code in C may let no other thread have a turn."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)


def _now(frame: FrameType | None) -> tuple[bool, str]:
    """Whether a library is being imported, and the innermost line of the step's own."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True, ""
        if place := own(ROOT, frame.f_code.co_filename, frame.f_lineno):
            return False, place
        frame = frame.f_back
    return False, ""


class Trial:
    """A pytest plugin, beside that of plugin.py, which hears from it of each outcome."""

    def __init__(self, out: Path, tests: Sequence[str]) -> None:
        self._out, self._tests = out.open("a", encoding="utf-8"), tests
        self._item: Any = None
        self._seconds, self._place, self._printed = 0.0, "", Printed()
        self._guard = Guard(self._late)

    def say(self, **told: Any) -> None:
        """A line for the other side."""
        self._out.write(json.dumps(told) + "\n")
        self._out.flush()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.name in self._tests]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        self._item, self._seconds = item, mark_of(item).timeout
        self._place, self._printed = "", Printed()
        self.say(begin=item.name)
        try:
            with (
                self._guard.allow(self._seconds),
                contextlib.redirect_stdout(self._printed),
                contextlib.redirect_stderr(self._printed),
            ):
                return (yield)
        except BaseException as error:
            self._place = _raised_at(error)
            raise

    def on_outcome(self, ended: TestOutcome) -> None:
        """What plugin.py says of a test, in words for a learner."""
        status, cause = ended.status, ended.cause
        if status == "not attempted" and not cause.startswith(f"exercise {ended.mark.id}:"):
            status, cause = "failed", f"needs {cause}"
        elif status == "broken":  # SystemExit, or an object that the test stumbles over
            status, cause = "failed", f"raised {cause}"
        wrong = [seen for seen in ended.calls if seen.verdict != "ok"] or ended.calls[-1:]
        calls = [] if status == "passed" else [asdict(seen) for seen in wrong]
        self._tell(ended.mark.test, status, cause, self._place, calls)

    def _late(self, place: str) -> None:
        seen = self._item.submission.calls[-1:] if hasattr(self._item, "submission") else []
        cause = f"no answer in {self._seconds:g} s"
        self._tell(self._item.name, "timed out", cause, place, [asdict(each) for each in seen])
        os._exit(3)

    def _tell(self, test: str, status: str, cause: str, place: str, calls: list[dict[str, Any]]) -> None:
        self.say(**asdict(LocalOutcome(test, status, cause, place, calls, self._printed.getvalue())))


def _raised_at(error: BaseException) -> str:
    """The innermost line of the step's own."""
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
    out, *tests = sys.argv[1:]
    faulthandler.enable()
    _end_in(START)
    trial = Trial(Path(out), tests)
    expected = Expected.load(ROOT / "tests" / "expected.json")
    plugin = RubricPlugin(expected.local, 0, expected.variant, trial.on_outcome, depends=False)
    files = files_of(Starter.load(ROOT).step, public_only=True)
    quietly([*map(str, files)], [plugin, trial])
    if plugin.problems:
        trial.say(problem=" ".join(plugin.problems[0].split())[-300:])
    os._exit(0)


if __name__ == "__main__":
    main()

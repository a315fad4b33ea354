"""Many graders at work: each submission in a process of its own, N at a time, and none for ever.

    for ended in run([Job("ada", [...]), Job("bob", [...])], at_once=2, seconds=240):
        print(ended.key, ended.problem or "graded")

One that crashes, hangs or is killed ends its own grading and no other. A process that has had its time is
asked to end, then killed with everything of its session; its sandboxes end by themselves with it. Should the
loop be left early, by Ctrl-C say, none of them goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import IO

from classroom.intake.harmless import harmless

PATIENCE = 3.0  # seconds for a process that was asked to end
TAIL = 2_000  # bytes of what it printed


@dataclass(frozen=True)
class Job:
    """A command, and what to call it."""

    key: str
    command: Sequence[str]
    cwd: str | None = None


@dataclass(frozen=True)
class Ended:
    """How a command ended. `problem` is empty where it gave exit code 0."""

    key: str
    seconds: float
    problem: str = ""


class _Pool:
    """The processes that run now, so that all of them can be ended."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, job: Job) -> Ended:
        """Run one command to its end, or until it has had its time."""
        began = time.monotonic()
        with tempfile.TemporaryFile() as printed:
            with self._lock:
                if self._stopped:
                    return Ended(job.key, 0.0, "it was not begun")
                process = subprocess.Popen(
                    job.command,
                    cwd=job.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=printed,
                    start_new_session=True,  # Ctrl-C is for this process, which ends the others itself
                )
                self._running.add(process)
            try:
                code = process.wait(self._seconds)
                problem = _last_words(code, printed) if code else ""
            except subprocess.TimeoutExpired:
                _end(process)
                problem = f"grading took more than {self._seconds:.0f} s, and was ended"
            with self._lock:
                self._running.discard(process)
        return Ended(job.key, time.monotonic() - began, problem)

    def stop(self) -> None:
        """End all that run, and begin no other."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for each in running:
            _interrupt(each)
        for each in running:
            _end(each)


def run(jobs: Sequence[Job], at_once: int, seconds: float) -> Iterator[Ended]:
    """Run all of them, `at_once` at a time, at most `seconds` each; in the order in which they end."""
    pool = _Pool(seconds)
    with ThreadPoolExecutor(at_once) as threads:
        try:
            for done in as_completed([threads.submit(pool.run, job) for job in jobs]):
                yield done.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            pool.stop()


def _last_words(code: int, printed: IO[bytes]) -> str:
    """The last line of a process that failed, and how it ended."""
    printed.seek(max(0, printed.seek(0, os.SEEK_END) - TAIL))
    lines = printed.read().decode(errors="replace").strip().splitlines()
    last = harmless(lines[-1].strip().removeprefix("error: "), 400) if lines else ""
    how = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
    return f"the grading process ended with {how}" + (f": {last}" if last else "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started: its sandboxes end by themselves with it."""
    _interrupt(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        process.send_signal(signal.SIGINT)

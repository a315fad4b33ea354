"""Many graders at work: each submission in a process of its own, N at a time, and none for ever.

    for ended in run([Job("ada", [...]), Job("bob", [...])], at_once=2, seconds=240):
        print(ended.key, ended.problem or "graded")

One that crashes, hangs or is killed ends its own grading and no other. A process that has had its time is
asked to end, then killed, then everything that it had started (its sandboxes end by themselves with it).
Should the loop be left early, by Ctrl-C say, none of them goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import psutil

from classroom.intake.harmless import harmless

TICK = 0.05  # seconds from look to look
PATIENCE = 3.0  # for a process that was asked to end
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


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    printed: IO[bytes]
    began: float


def run(jobs: Sequence[Job], at_once: int, seconds: float) -> Iterator[Ended]:
    """Run all of them, `at_once` at a time, at most `seconds` each; in the order in which they end."""
    waiting, running = list(reversed(jobs)), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(_started(waiting.pop()))
            for each in list(running):
                ended = _ended(each, seconds)
                if ended:
                    running.remove(each)
                    yield ended
            time.sleep(TICK)
    finally:
        for each in running:
            _interrupt(each.process)
        for each in running:
            _end(each.process)
            each.printed.close()


def _started(job: Job) -> _Running:
    printed = tempfile.TemporaryFile()  # noqa: SIM115  (read when it has ended)
    process = subprocess.Popen(
        job.command,
        cwd=job.cwd,
        stdin=subprocess.DEVNULL,
        stdout=printed,
        stderr=printed,
        start_new_session=True,  # Ctrl-C is for this process, which ends the others itself
    )
    return _Running(job, process, printed, time.monotonic())


def _ended(running: _Running, seconds: float) -> Ended | None:
    code, took = running.process.poll(), time.monotonic() - running.began
    if code is None and took < seconds:
        return None
    if code is None:
        _end(running.process)
        problem = f"grading took more than {seconds:.0f} s, and was ended"
    else:
        problem = _told(code, running.printed) if code else ""
    running.printed.close()
    return Ended(running.job.key, took, problem)


def _told(code: int, printed: IO[bytes]) -> str:
    """What a process that failed said last, and how it ended."""
    printed.seek(max(0, printed.seek(0, os.SEEK_END) - TAIL))
    lines = printed.read().decode(errors="replace").strip().splitlines()
    last = harmless(lines[-1].strip().removeprefix("error: "), 400) if lines else ""
    how = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
    return f"the grading process ended with {how}" + (f": {last}" if last else "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    below = list[psutil.Process]()
    with contextlib.suppress(psutil.Error):
        below = psutil.Process(process.pid).children(recursive=True)
    _interrupt(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    if process.poll() is None:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(below, timeout=PATIENCE)
    for each in alive:
        with contextlib.suppress(psutil.Error):
            each.kill()


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        process.send_signal(signal.SIGINT)

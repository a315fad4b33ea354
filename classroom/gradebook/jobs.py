"""Run many commands, N at a time: one that crashes, hangs or is killed stops no other.

    for ended in run({"ada": [...], "bob": [...]}, at_once=2, seconds=240):
        print(ended.key, ended.problem or "graded")

A process that has used up its time is interrupted, then killed with everything of its session; its sandboxes
end with it. If the loop is left early, by Ctrl-C say, all of them are ended.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import IO

from classroom.assignment.spec import ROOT
from classroom.intake.harmless import harmless

PATIENCE = 3.0  # seconds for a process that was interrupted
TICK = 0.05  # seconds between two looks
TAIL = 2_000  # bytes of what it printed


@dataclass(frozen=True)
class Ended:
    """How a command ended. `problem` is empty where its exit code is 0."""

    key: str
    seconds: float
    problem: str = ""


def run(commands: Mapping[str, Sequence[str]], at_once: int, seconds: float) -> Iterator[Ended]:
    """Run all of them, `at_once` at a time, at most `seconds` each; in the order in which they end."""
    stop = threading.Event()
    with ThreadPoolExecutor(at_once) as threads:
        try:
            running = [threads.submit(_run, key, command, seconds, stop) for key, command in commands.items()]
            for done in as_completed(running):
                yield done.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            stop.set()


def _run(key: str, command: Sequence[str], seconds: float, stop: threading.Event) -> Ended:
    """Run one command until it ends, its time is over, or all have to stop."""
    began, problem = time.monotonic(), ""
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            start_new_session=True,  # Ctrl-C is for this process, which ends the others itself
        )
        while process.poll() is None and time.monotonic() - began < seconds:
            if stop.wait(TICK):
                break
        if process.returncode is None:
            _end(process)
            problem = f"grading took more than {seconds:.0f} s, and was ended"
        elif process.returncode:
            problem = _last_words(process.returncode, printed)
    return Ended(key, time.monotonic() - began, problem)


def _last_words(code: int, printed: IO[bytes]) -> str:
    """How a process failed, and the last line that it printed."""
    printed.seek(max(0, printed.seek(0, os.SEEK_END) - TAIL))
    lines = printed.read().decode(errors="replace").strip().splitlines()
    last = harmless(lines[-1].strip().removeprefix("error: "), 400) if lines else ""
    how = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
    return f"the grading process ended with {how}" + (f": {last}" if last else "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process, then kill it with its session."""
    with contextlib.suppress(OSError):
        process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

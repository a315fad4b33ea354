"""Run many commands, N at a time: one that crashes, hangs or is killed stops no other.

    for key, problem in run({"ada": [...], "bob": [...]}, at_once=2, seconds=240):
        print(key, problem or "graded")

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
from typing import IO

from classroom.assignment.spec import ROOT
from classroom.intake.harmless import harmless

PATIENCE = 3.0  # seconds for a process that was interrupted
TICK = 0.05  # seconds between two looks
TAIL = 2_000  # bytes of what it printed


def run(commands: Mapping[str, Sequence[str]], at_once: int, seconds: float) -> Iterator[tuple[str, str]]:
    """Run all of them, `at_once` at a time, at most `seconds` each.

    Yields the key of each as it ends, and what went wrong; nothing if its exit code is 0.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(at_once) as threads:
        try:
            running = {threads.submit(_run, each, seconds, stop): key for key, each in commands.items()}
            for done in as_completed(running):
                yield running[done], done.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            stop.set()


def _run(command: Sequence[str], seconds: float, stop: threading.Event) -> str:
    """Run one command until it ends, its time is over, or all have to stop; what went wrong, or nothing."""
    until = time.monotonic() + seconds
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            start_new_session=True,  # Ctrl-C is for this process, which ends the others itself
        )
        while process.poll() is None and time.monotonic() < until:
            if stop.wait(TICK):
                break
        if process.returncode is None:
            _end(process)
            return f"grading took more than {seconds:.0f} s, and was ended"
        return _last_words(process.returncode, printed) if process.returncode else ""


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

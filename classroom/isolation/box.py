"""A running sandbox: its keeper, the pipes to its worker, and the end of what it printed.

    grader ── keeper.py ── start.py, which becomes worker.py
       └────── stdin, stdout, stderr ──────┘

`Box` is what the grader holds. To close it, the keeper is asked; if that does not answer, all processes of
the sandbox that can be found are killed from here.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from classroom.isolation.limits import environment
from classroom.isolation.place import HERE, Place, may, python
from classroom.isolation.watch import descendants, words

SYS_PTRACE = 19  # of capabilities(7)
TAIL = 1 << 16  # bytes of output that are kept
PATIENCE = 1.5  # seconds for the keeper to end everything


class Box:
    """A worker in a sandbox. `stdin` and `stdout` are descriptors of its pipes, and do not block."""

    def __init__(self, level: str, safe: bool, place: Place, command: list[str]) -> None:
        self.level, self.safe = level, safe
        self.at_end: Callable[[], None] = lambda: None  # called when nothing of it runs any more
        self._place = place
        self._broken: str | None = None
        self._ended: int | None = None
        self._tail, self._printed = bytearray(), 0
        self._closed = False
        lifeline, self._lifeline = os.pipe()
        self._news, news = os.pipe()
        os.set_blocking(self._news, False)
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        self._stderr, stderr = os.pipe()
        theirs = (lifeline, news, stdin, stdout, stderr)
        os.set_blocking(self.stdin, False)
        os.set_blocking(self.stdout, False)
        spec = {
            "command": command,
            "lifeline": lifeline,
            "news": news,
            "limits": asdict(place.limits),
            "scratch": str(place.scratch),
            "uid": place.uid,
            "look_as": place.uid if place.uid is not None and not may(SYS_PTRACE) else None,
        }
        try:
            self._keeper = subprocess.Popen(
                [python(), "-I", "-S", HERE / "keeper.py", json.dumps(spec)],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(lifeline, news),
                env=environment(place.scratch),
                start_new_session=True,
            )
        finally:
            for each in theirs:
                os.close(each)
        self._reader = threading.Thread(target=self._read, name=f"output of a {level} sandbox", daemon=True)
        self._reader.start()

    def broken(self) -> str | None:
        """The limit that it has exceeded (memory, disk, output, processes) as text, or None."""
        self._hear()
        return self._broken

    def why_ended(self) -> str:
        """Why it has closed its pipes, as text: exit code, signal, or limit."""
        if self._broken is None and self._ended is None:
            select.select([self._news], [], [], PATIENCE)
        if broken := self.broken():
            return broken
        if self._ended is None:
            return "it closed its pipes"
        return ended_in_words(self._ended, self._place.limits.cpu_seconds)

    def output(self) -> str:
        """The end of what it printed (stdout and stderr), as text."""
        return bytes(self._tail).decode("utf-8", "replace")

    def close(self) -> None:
        """End it and everything that it started; never raises, and never waits for long."""
        if self._closed:
            return
        self._closed = True
        for step in (self._end, self._close_pipes, self._remove):
            with contextlib.suppress(Exception):
                step()

    def _read(self) -> None:
        """Read what it prints, so that it never waits for a reader; too much output ends it."""
        with contextlib.suppress(OSError):
            while more := os.read(self._stderr, 1 << 16):
                self._printed += len(more)
                self._tail += more
                del self._tail[:-TAIL]
                if self._printed > self._place.limits.output and self._broken is None:
                    self._broken = f"it printed more than {words(self._place.limits.output)}"
                    self._keeper.terminate()
        os.close(self._stderr)  # here, so that no read is going on

    def _hear(self) -> None:
        """Read the keeper's messages. It never ends without one."""
        with contextlib.suppress(OSError):
            heard = os.read(self._news, 1 << 12)
            if not heard and self._ended is None and self._broken is None:
                self._broken = "it ended the process that watches it"
            for line in heard.decode("utf-8", "replace").splitlines():
                kind, _, what = line.partition(" ")
                if kind == "limit":
                    self._broken = self._broken or what
                elif kind == "ended":
                    self._ended = int(what)

    def _end(self) -> None:
        self._keeper.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(PATIENCE)
        end_from_outside(self._keeper, self._place)

    def _close_pipes(self) -> None:
        for each in (self.stdin, self.stdout, self._news, self._lifeline):
            with contextlib.suppress(OSError):
                os.close(each)
        self._reader.join(0.5)

    def _remove(self) -> None:
        """Remove the folders, without waiting for long: thousands may take 6 ms each."""
        remover = threading.Thread(target=self.at_end, name="removes a sandbox")
        remover.start()
        remover.join(1.0)


def ended_in_words(code: int, cpu_seconds: int) -> str:
    """How a process ended, as text."""
    number = -code
    if number == signal.SIGXCPU:
        return f"it used more than {cpu_seconds} s of processor time"
    if number > 0:
        with contextlib.suppress(ValueError):
            return f"its process was ended by {signal.Signals(number).name}"
    return f"its process ended (exit code {code})"


def end_from_outside(keeper: subprocess.Popen[bytes], place: Place) -> None:
    """Kill what is left of a sandbox whose keeper was killed, as far as it can be found."""
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        left = descendants(keeper.pid) if keeper.poll() is None else []
        left += [pid for pid in marked(place) if pid != keeper.pid]
        if not left:
            break
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        keeper.kill()
        keeper.wait(0.2)


def marked(place: Place) -> list[int]:
    """Living processes with the user id of a sandbox, or with its scratch folder as their home."""
    found = []
    mark = os.fsencode(f"HOME={place.scratch}")
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if place.uid is not None:
                its = folder.stat().st_uid == place.uid
            else:
                its = mark in (folder / "environ").read_bytes()
            if its and b") Z" not in (folder / "stat").read_bytes():
                found.append(int(folder.name))
    return found

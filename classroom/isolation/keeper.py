"""The process above a sandbox: starts it, watches what it uses, and ends everything that it started.

    python -I -S keeper.py SPEC

SPEC is JSON: the command, two descriptors, and the limits (see box.py). Each sandbox has one keeper, which is
outside of it. Orphans of a sandbox become the keeper's children (it is a "subreaper"), so double forks and
new sessions hide nothing. It writes what happened to the descriptor `news`, in lines:

    limit it used more than 2 GiB of memory
    ended 3                                      exit code; -9: signal 9

It ends the whole sandbox on SIGTERM, or when the process at the other end of the descriptor `lifeline` is
gone; then it also deletes that sandbox's folder. This file is trusted, and imports only files beside it.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))

import removing  # pyrefly: ignore  (beside this file)
import watch  # pyrefly: ignore

TICK = 0.1  # seconds between two looks
SET_CHILD_SUBREAPER = 36  # of prctl(2)


class Keeper:
    """One sandbox: the process that was started, and its limits."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._awake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._told_to_end = False
        signal.signal(signal.SIGTERM, self._end_soon)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes
        self._watch = watch.Watch(os.getpid(), spec["limits"], spec["scratch"])
        self._worker = self._started()
        self._gone = False  # waited for: its pid may belong to another process

    def _started(self) -> int:
        worker = os.fork()
        if not worker:
            try:
                for kept in (self._spec["lifeline"], self._spec["news"], self._awake):
                    os.close(kept)
                os.execv(self._spec["command"][0], self._spec["command"])
            except BaseException as error:
                os.write(2, f"the sandbox does not start: {error}\n".encode())
            os._exit(125)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)  # so that both pipes close when the worker does
        os.dup2(null, 1)
        return worker

    def keep(self) -> None:
        """Watch it until it ends, exceeds a limit, or has to be ended; then end all of its processes."""
        try:
            self._until_it_ends()
        except Exception as error:
            self._say(f"limit it can't be watched ({type(error).__name__})")
            raise
        finally:
            self._end()
        if select.select([self._spec["lifeline"]], [], [], 0)[0] and not self._told_to_end:
            with contextlib.suppress(OSError):
                removing.remove(Path(self._spec["scratch"]).parent)

    def _until_it_ends(self) -> None:
        while not self._told_to_end:
            ready, _, _ = select.select([self._spec["lifeline"], self._awake], [], [], TICK)
            if self._awake in ready:
                os.read(self._awake, 512)
            if (ended := self._ended()) is not None:
                self._say(f"ended {ended}")
                break
            if self._spec["lifeline"] in ready:
                break
            if broken := self._looked():
                self._say(f"limit {broken}")
                break

    def _looked(self) -> str | None:
        """Look at the limits: in a container, root may have to become the sandbox's user for that."""
        uid = self._spec["look_as"]
        if uid is None:
            return self._watch.look()
        os.setegid(uid)
        os.seteuid(uid)
        try:
            return self._watch.look()
        finally:
            os.seteuid(0)
            os.setegid(0)

    def _ended(self) -> int | None:
        """The exit code of the worker, if it has ended; waits for ended orphans, too."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self._worker:
                    self._gone = True
                    return os.waitstatus_to_exitcode(found[1])
        return None

    def _end(self) -> None:
        """Kill all: first its user's or its group's processes at once; then stop and kill what is left.

        A fork bomb at its limit replaces each killed process faster than a loop can find them.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._spec["uid"] is not None:
                _kill_all_of(self._spec["uid"])
            elif not self._gone:
                os.killpg(self._worker, signal.SIGKILL)
        stopped: set[int] = set()
        while new := set(watch.descendants(os.getpid())) - stopped:
            _signal(new, signal.SIGSTOP)
            stopped |= new
        while True:
            _signal(watch.descendants(os.getpid()), signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            select.select([], [], [], 0.001)

    def _end_soon(self, *_: Any) -> None:
        self._told_to_end = True

    def _say(self, what: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._spec["news"], f"{what}\n".encode())


def _kill_all_of(uid: int) -> None:
    """Kill all processes of a user in one system call, so that no fork gets in between."""
    if not (child := os.fork()):
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(child, 0)


def _signal(processes: Iterable[int], number: int) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def main() -> None:
    """Keep one sandbox."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Keeper(json.loads(sys.argv[1])).keep()


if __name__ == "__main__":
    main()

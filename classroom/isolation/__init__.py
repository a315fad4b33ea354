"""Where a submission runs: the seam between the grader and the sandboxes, which are the other files here.

    >>> levels()
    {'sandlock': (), 'rlimits': ('solutions', 'writing', ...)}
    >>> box = open_worker(tree)
    >>> box.level, box.safe
    ('sandlock', True)
    >>> box.close()

A level that is listed was tried: a small program in it tried to reach the network, read a solution, write
outside, and reach the grader, and what it managed is named. Only a level where it managed nothing is safe.
What each level stops is in stops.py, and all of it is attacked in tests/classroom/test_isolation.py.

Linux has both levels; macOS has `rlimits` only, which is not safe, and never ran there. Windows has none.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import select
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from classroom.isolation import rlimits, sandlock
from classroom.isolation.box import Box
from classroom.isolation.limits import Limits
from classroom.isolation.place import HERE, Missing, Place, python, worker_command
from classroom.isolation.removing import remove
from shared.errors import UserError

__all__ = ["LEVELS", "Limits", "Sandboxed", "levels", "open_worker"]

# Best first. Each gives the command that starts a sandbox.
LEVELS: dict[str, Callable[[Place], list[str]]] = {"sandlock": sandlock.command, "rlimits": rlimits.command}
LIMITS = Limits()
PROBE_SECONDS = 20.0
UIDS = range(61_184, 65_520)  # systemd's for users that exist for a while; below what containers map


class Sandboxed(Protocol):
    """A worker in a sandbox, with pipes: file descriptors, `stdin` and `stdout` not blocking."""

    level: str  # sandlock or rlimits
    safe: bool  # whether strangers' code may be graded in it
    stdin: int
    stdout: int

    def broken(self) -> str | None:
        """Which limit it has run into (memory, disk, output, processes), in words; None while all is well."""
        ...

    def why_ended(self) -> str:
        """In words, once it has closed its pipes: exit code, signal, limit."""
        ...

    def output(self) -> str:
        """The end of what it printed (stdout and stderr), bounded, as text."""
        ...

    def close(self) -> None:
        """End it and everything that it started; never raises, never waits for long."""
        ...


def levels() -> dict[str, tuple[str, ...]]:
    """The levels that work here, best first, and what each let through when it was tried; nothing: safe."""
    found = {}
    for level in LEVELS:
        with contextlib.suppress(Missing):
            found[level] = tried(level)
    return found


def open_worker(tree: Path, level: str | None = None, limits: Limits = LIMITS) -> Box:
    """A worker that holds the submission in `tree`, in the best sandbox that the machine has.

    The worker may be another user of the machine, so others must be able to read the tree.

    Raises:
        UserError: there is no such level here.
    """
    level, safe = chosen(level)
    return _opened(level, tree.resolve(), None, limits, safe)


def chosen(wanted: str | None) -> tuple[str, bool]:
    """The level that is wanted, or the best one that works here, and whether it is safe.

    Raises:
        UserError: there is no such level here.
    """
    if wanted is not None and wanted not in LEVELS:
        raise UserError(f"no such isolation: {wanted[:60]}; there is {', '.join(LEVELS)}")
    why = ""
    for level in [wanted] if wanted else LEVELS:
        try:
            return level, not tried(level) and level != "rlimits"
        except Missing as missing:
            why = str(missing)
    if wanted:
        raise UserError(f"isolation {wanted} is not available here: {why}")
    raise UserError(f"submissions can't be run on this system: {why}")


def tried(level: str) -> tuple[str, ...]:
    """What went through in this level, tried once.

    Raises:
        Missing: it does not work here.
    """
    worked, why = _probed(level)
    if worked is None:
        raise Missing(why)
    return worked


@functools.cache
def _probed(level: str) -> tuple[tuple[str, ...] | None, str]:
    """What went through, or None and why it does not work."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="sandbox-probe-"))
        stack.callback(remove, folder)
        folder.chmod(0o755)
        outside = folder / "outside"
        outside.write_text("not to be written")
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        facts = {
            "port": listening.getsockname()[1],
            "grader": os.getpid(),
            "solution": str(HERE / "box.py"),
            "outside": str(outside),
        }
        command = [str(python()), "-I", "-S", str(HERE / "probe.py"), json.dumps(facts)]
        try:
            box = _opened(level, folder, command, LIMITS, safe=False)
        except Missing as missing:
            return None, str(missing)
        stack.callback(box.close)
        answer = _line(box)
        if answer is None:
            return None, (box.output().strip().splitlines() or [box.why_ended()])[-1]
        return tuple(json.loads(answer)), ""


def _line(box: Box) -> bytes | None:
    """The first line that it writes; None when it ends without."""
    deadline, line = time.monotonic() + PROBE_SECONDS, b""
    while b"\n" not in line and (left := deadline - time.monotonic()) > 0:
        if select.select([box.stdout], [], [], left)[0]:
            more = os.read(box.stdout, 1 << 12)
            if not more:
                return None
            line += more
    return line if b"\n" in line else None


def _opened(level: str, tree: Path, command: list[str] | None, limits: Limits, safe: bool) -> Box:
    """`command` instead of a worker, for the probe, which it may then read."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="sandbox-")).resolve()
        stack.callback(remove, folder)
        folder.chmod(0o711)
        scratch = folder / "scratch"
        scratch.mkdir(0o700)
        uid = None
        if level != "rlimits" and hasattr(os, "geteuid") and os.geteuid() == 0:
            uid, lock = _free_uid()
            stack.callback(lock.close)
            os.chown(scratch, uid, uid)
        more = () if command is None else (command[3],)
        place = Place(tree, scratch, limits, command or worker_command(tree), uid, more)
        box = Box(level, safe, place, LEVELS[level](place))
        box.at_end = stack.pop_all().close
        return box


def _free_uid() -> tuple[int, socket.socket]:
    """A user id that nobody has, and what holds it: an abstract socket, which goes with the process."""
    import pwd  # not on Windows

    taken = {user.pw_uid for user in pwd.getpwall()}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            taken.add(folder.stat().st_uid)
    for uid in random.sample(UIDS, len(UIDS)):
        lock = socket.socket(socket.AF_UNIX)
        if uid not in taken:
            with contextlib.suppress(OSError):
                lock.bind(f"\0classroom-uid-{uid}")
                return uid, lock
        lock.close()
    raise Missing("all user ids for sandboxes are taken")

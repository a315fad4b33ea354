"""Where a submission runs: the interface between the grader and the sandboxes, the other files here.

    >>> tried("rlimits")
    ('solutions', 'writing', ...)
    >>> box = open_worker(tree)
    >>> box.level, box.safe
    ('sandlock', True)
    >>> box.close()

A level is tried before it is used: a small program in it tries to reach the network, read a solution, write
outside, and reach the grader. A level is safe only if all of that fails. The table of what each level stops
is in stops.py, and tests/classroom/test_isolation.py attacks all of it.

Linux has both levels; macOS has only `rlimits`, which is not safe and was never run there. Windows has none.
"""

import contextlib
import functools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from classroom.isolation import sandlock
from classroom.isolation.box import Box
from classroom.isolation.limits import Limits, environment
from classroom.isolation.place import HERE, Missing, Place, python, worker_command
from classroom.isolation.removing import remove
from shared.errors import UserError

__all__ = ["LEVELS", "Limits", "chosen", "open_worker", "tried"]


def rlimits(place: Place) -> list[str]:
    """Level 2: the kernel's limits for a process, and the filter. NOT SAFE for submitted code.

    A submission runs as the grader's own user: it can read the solutions and the other submissions, write
    wherever that user can, and end the grader. With it, code of people you trust can be graded anywhere.

    Raises:
        Missing: Windows has no such limits.
    """
    if sys.platform == "win32":
        raise Missing("Windows can't limit a process: use WSL, or Linux")
    return place.first()


# Best first. Each gives the command that starts a sandbox.
LEVELS: dict[str, Callable[[Place], list[str]]] = {"sandlock": sandlock.command, "rlimits": rlimits}
LIMITS = Limits()
PROBE_SECONDS = 20.0
UIDS = range(61_184, 65_520)  # systemd's range for temporary users; below the ids that containers map


def open_worker(tree: Path, level: str | None = None, limits: Limits = LIMITS) -> Box:
    """A worker that holds the submission in `tree`, in the best sandbox of the machine.

    The worker may run as another user, so others must be able to read the tree.

    Raises:
        UserError: this level is not available.
    """
    level, safe = chosen(level)
    tree = tree.resolve()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(_place(level, tree, limits, worker_command(tree)))
        box = Box(level, safe, place, LEVELS[level](place))
        box.at_end = stack.pop_all().close
        return box


def chosen(wanted: str | None) -> tuple[str, bool]:
    """The wanted level, or the best one that works here, and whether it is safe.

    Raises:
        UserError: it is not available.
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


@functools.cache
def tried(level: str) -> tuple[str, ...]:
    """What this level let through when probe.py tried it, once in a process.

    Raises:
        Missing: it does not work here.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-probe-")))
        folder.chmod(0o755)
        probe = shutil.copy(HERE / "probe.py", folder)
        outside = folder / "outside"
        outside.write_text("not to be written")
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        facts = {
            "port": listening.getsockname()[1],
            "grader": os.getpid(),
            "solution": str(HERE / "box.py"),
            "outside": str(outside),
        }
        command = [str(python()), "-I", "-S", str(probe), json.dumps(facts)]
        place = stack.enter_context(_place(level, folder.resolve(), LIMITS, command))
        try:
            done = subprocess.run(
                LEVELS[level](place),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_SECONDS,
                env=environment(place.scratch),
            )
        except subprocess.TimeoutExpired:
            raise Missing("the trial took too long") from None
        if done.returncode:
            told = done.stderr.decode(errors="replace").strip().splitlines()
            raise Missing(told[-1] if told else f"the trial ended with exit code {done.returncode}")
        return tuple(json.loads(done.stdout))


@contextlib.contextmanager
def _place(level: str, tree: Path, limits: Limits, command: list[str]) -> Iterator[Place]:
    """A scratch folder, and for root an unused user id, as long as they are needed."""
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
        yield Place(tree, scratch, limits, command, uid)


def _free_uid() -> tuple[int, socket.socket]:
    """An unused user id, and what reserves it: an abstract socket, which ends with this process."""
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

"""A place to run a submission: its tree and scratch folder, what it may read, and its first command.

    >>> place = Place(tree, scratch, Limits(), worker_command(tree), uid=None)
    >>> place.first()
    ['/usr/bin/python3.11', '-I', '-S', '.../classroom/isolation/start.py', '{"scratch": ...}']

It may read Python, the libraries of this environment, and the tree; not the repository, nor the steps if
they are installed among the libraries: they are the solutions.
"""

import base64
import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from classroom.isolation import seccomp
from classroom.isolation.limits import Limits

HERE = Path(__file__).parent
ROOT = HERE.parents[1]  # the repository, or the folder of the libraries
SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/sys/devices/system/cpu")
SYSTEM += tuple(f"/etc/{name}" for name in ("ld.so.cache", "localtime", "mime.types", "nsswitch.conf"))
SOLUTIONS = ("step[0-9]_*", "classroom", "tests")
NICE = 5  # so that the grader and its keepers have priority


class Missing(Exception):
    """A level is not available; the text says why."""


@dataclass(frozen=True)
class Place:
    """A sandbox before it starts. `uid`: an unused user id, if the grader is root."""

    tree: Path
    scratch: Path
    limits: Limits
    command: list[str]
    uid: int | None

    def readable(self) -> list[str]:
        """The existing files and folders that Python needs, none of them inside another."""
        base = Path(sys.base_prefix)
        wanted = [python(), base / "lib", base / "lib64", Path(os.__file__).parent, *map(Path, SYSTEM)]
        wanted += [*site_packages(), self.tree]
        there = {path for path in wanted if path.exists()}
        return sorted(str(path) for path in there if not there & set(path.parents))

    def hidden(self) -> list[str]:
        """Folders inside the readable ones that must not be read.

        Solutions, and the libraries of the base Python, which may hold solutions, too.
        """
        readable = {Path(path).resolve() for path in self.readable()}
        found = []
        ours = {path.resolve() for path in site_packages()}
        for folder in {ROOT.resolve(), *ours}:
            if readable & {folder, *folder.parents}:
                found += [str(path) for pattern in SOLUTIONS for path in folder.glob(pattern)]
        for folder in base_packages():
            if folder not in ours and readable & {folder, *folder.parents}:
                found.append(str(folder))
        return sorted(found)

    def first(
        self,
        landlock: dict[str, Any] | None = None,
        forbidden: Sequence[str] = (),
        read_all: bool = False,
        signals: bool = True,
    ) -> list[str]:
        """The command that gives up everything and becomes the worker (see start.py)."""
        rlimits = self.limits.rlimits()
        if sys.platform != "linux":
            del rlimits["NPROC"]
        elif self.uid is None:  # the kernel counts all that this user runs
            rlimits["NPROC"] = 2 * rlimits["NPROC"] + tasks_of_this_user()
        spec = {
            "scratch": str(self.scratch),
            "nice": NICE,
            "rlimits": rlimits,
            "uid": self.uid,
            "read_all": read_all,
            "landlock": landlock,
            "forbidden": list(forbidden),
            # another user can't change the modes and times of the grader's files anyway
            "filter": base64.b64encode(seccomp.program(signals, modes=self.uid is not None)).decode(),
            "command": self.command,
        }
        return [str(python()), "-I", "-S", str(HERE / "start.py"), json.dumps(spec)]


def python() -> Path:
    """The interpreter itself: that of a virtual environment is a link to it."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def site_packages() -> list[Path]:
    """Where the libraries of this environment lie."""
    return list(dict.fromkeys(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")))


def base_packages() -> list[Path]:
    """Where the base Python of a virtual environment has its own libraries."""
    library = Path(os.__file__).resolve().parent
    folders = [library / "site-packages", library / "dist-packages", Path("/usr/lib/python3/dist-packages")]
    folders += Path("/usr/local/lib").glob("python3*/*-packages")
    return [folder.resolve() for folder in folders if folder.is_dir()]


def worker_command(tree: Path) -> list[str]:
    """The command of the worker, which every sandbox runs in the end."""
    worker = tree / "classroom" / "protocol" / "worker.py"
    return [str(python()), "-I", "-S", str(worker), str(tree), *map(str, site_packages())]


def closed_to_others(paths: Iterable[str | Path]) -> Path | None:
    """The first of these paths, or of the folders above them, that another user may not read."""
    for path in (Path(path).resolve() for path in paths):
        for each, right in [(path, 0o004), *((up, 0o001) for up in path.parents)]:
            if not each.stat().st_mode & right:
                return each
    return None


def tasks_of_this_user() -> int:
    """How many processes and threads this user runs: the kernel's limit counts those, too."""
    found = psutil.process_iter(["uids", "num_threads"])
    return sum(each.info["num_threads"] for each in found if each.info["uids"].real == os.getuid())


def may(capability: int) -> bool:
    """Whether this process has a capability, by its number in capabilities(7); containers leave few."""
    found = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
    return found is not None and bool(int(found[1], 16) >> capability & 1)

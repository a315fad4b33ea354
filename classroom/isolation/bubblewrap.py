"""Level 2: bubblewrap, which gives a process a view of the machine in which the rest is not there.

Namespaces of its own for files, processes, network, messages and, where the grader is not root, users (see
github.com/containers/bubblewrap). Debian, Ubuntu and Fedora have it as the package `bubblewrap`. Containers
mostly forbid what it needs, and so does Ubuntu 24.04 to users who are not root.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from classroom.isolation.place import HERE, Missing, Place, Plan

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def plan(place: Place) -> Plan:
    """A view with what Python needs, read-only, and a scratch folder of fixed size.

    Raises:
        Missing: no bubblewrap.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise Missing("bubblewrap is not installed: apt-get install bubblewrap")
    view = [bwrap, "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"]
    if place.uid is None:
        view += ["--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    else:  # start.py becomes another user, and gives up these two rights by that
        view += [f"--unshare-{kind}" for kind in ("ipc", "pid", "net", "uts", "cgroup-try")]
        view += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    paths, scratch = [*place.readable(), str(HERE / "start.py")], str(place.scratch)
    for folder in sorted(
        {up for path in (*paths, *DEVICES, scratch) for up in Path(path).parents} - {Path("/")}
    ):
        view += ["--perms", "0755", "--dir", str(folder)]  # else only root gets through
    for path in paths:
        if os.path.islink(path):  # noqa: PTH114
            view += ["--symlink", os.readlink(path), path]  # noqa: PTH115
        else:
            view += ["--ro-bind", path, path]
    for path in place.hidden():
        view += ["--size", "4096", "--tmpfs", path, "--remount-ro", path]
    for path in DEVICES:
        view += ["--dev-bind", path, path]
    if place.uid is None:
        view += ["--perms", "0700", "--size", str(place.limits.disk), "--tmpfs", scratch]
    else:
        view += ["--bind", scratch, scratch]
    view += ["--proc", "/proc", "--remount-ro", "/", "--chdir", "/", "--"]
    return Plan([*view, *place.first(uid=place.uid)], make_scratch=place.uid is not None, disk="size")

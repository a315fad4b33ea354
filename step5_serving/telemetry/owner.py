"""Which process a running call belongs to, and whether that process is still there.

    >>> OWNER
    'laptop/4711/1795910400'

Two services may write to one database, and in a container every service has the process id 1. So an owner is
the machine, the process id, and when the process began.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil


def owner_of(pid: int) -> str:
    """The owner's name of a process of this machine.

    Raises:
        OSError, psutil.Error: there is no such process, or it can't be looked at.
    """
    if Path("/proc/self/stat").exists():  # in ticks since the boot: a clock that is set changes nothing
        began = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    else:
        began = f"{psutil.Process(pid).create_time():.0f}"
    return f"{platform.node()}/{pid}/{began}"


OWNER = owner_of(os.getpid())


def is_gone(owner: str) -> bool:
    """Whether an owner's process has ended; of another machine, nobody here can tell: False."""
    machine, pid, _ = owner.rsplit("/", 2)
    if machine != platform.node():
        return False
    try:
        return owner_of(int(pid)) != owner
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return True

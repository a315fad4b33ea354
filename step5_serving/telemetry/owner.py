"""Which process a running call belongs to, and whether that process is still alive.

    >>> OWNER
    'laptop/4711/1795910400'

Several services may share a database, and in containers all of them have process id 1. So an owner is the
machine, the process id and the start time of the process.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil


def owner_of(pid: int) -> str:
    """The owner string of a process here; raises OSError or psutil.Error if there is no such process."""
    if Path("/proc/self/stat").exists():  # ticks since boot, which setting the clock doesn't change
        began = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    else:
        began = f"{psutil.Process(pid).create_time():.0f}"
    return f"{platform.node()}/{pid}/{began}"


OWNER = owner_of(os.getpid())


def is_gone(owner: str) -> bool:
    """Whether the owner's process has ended; False for one on another machine, which can't be checked."""
    machine, pid, _ = owner.rsplit("/", 2)
    if machine != platform.node():
        return False
    try:
        return owner_of(int(pid)) != owner
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return True

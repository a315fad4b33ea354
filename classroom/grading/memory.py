"""Memory of a grader and its sandbox, held against what the machine has."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

GRADER = 4 << 30  # bytes that a grader may add to what it holds when tests begin
PER_JOB = 3 << 30  # bytes: a sandbox may hold 2 GiB, and its grader needs some


@contextlib.contextmanager
def bounded(more: int = GRADER) -> Iterator[None]:
    """Let this process hold `more` bytes than now, on Linux; beyond that comes a MemoryError.

    A submission chooses what its test computes with, and an answer can make the reference compute much.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    lines = Path("/proc/self/status").read_text().splitlines()
    now = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [each for each in (soft, hard, now + more) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def jobs_that_fit(memory: int | None = None) -> int:
    """How many submissions can be graded at a time: as many as fit into memory with their graders."""
    return max(1, (machine_memory() if memory is None else memory) // PER_JOB)


def machine_memory() -> int:
    """Bytes of this machine, or of the container where that has fewer."""
    import psutil

    found = psutil.virtual_memory().total
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found = min(found, int(Path("/sys/fs/cgroup", name).read_text()))
    return found

"""Limits on the memory of a grader, and how many graders the machine has room for."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

GRADER = 4 << 30  # bytes that a grader may allocate after the tests begin
PER_JOB = 3 << 30  # bytes: a sandbox may hold 2 GiB, and its grader needs the rest


@contextlib.contextmanager
def bounded(more: int = GRADER) -> Iterator[None]:
    """Let this process allocate `more` bytes than now, on Linux; beyond that comes a MemoryError.

    An answer of a submission may be an argument of the next call, and make the reference compute much.
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
    """How many submissions fit into memory at a time, with their graders."""
    return max(1, (machine_memory() if memory is None else memory) // PER_JOB)


def machine_memory() -> int:
    """Bytes of this machine, or of the container where that has fewer."""
    import psutil

    found = psutil.virtual_memory().total
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found = min(found, int(Path("/sys/fs/cgroup", name).read_text()))
    return found

"""What this machine is: processor, its number formats, idle cores, memory. Asked by the loaders and `doctor`.

>>> describe()
'Intel(R) Xeon(R) Processor, 2 cores, 23 GiB, Linux x86_64'
"""

from __future__ import annotations

import math
import os
import platform
import time
from functools import cache
from pathlib import Path

import psutil

FAST_BF16_FLAGS = {"amx_bf16", "avx512_bf16"}  # where it was measured to be fast


@cache
def cpu_flags() -> frozenset[str]:
    """Feature flags of the processor as its system spells them; empty where the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), ":")
        return frozenset(flags.split(":", 1)[1].split())
    return frozenset()


def has_fast_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware; without, bf16 is emulated and slow.

    Enough to write token by token, which waits for memory; for large products ask `bf16_is_faster`.
    """
    return bool(cpu_flags() & FAST_BF16_FLAGS)


@cache
def bf16_is_faster() -> bool:
    """Whether products of large bfloat16 matrices are faster here than of float32 ones: measured, in 0.2 s.

    The flags alone don't tell: with avx512_bf16 and no AMX, an AMD EPYC took half of float32's time, an Intel
    Xeon twice as long.
    """
    import torch
    from torch.nn.functional import linear

    threads, least = torch.get_num_threads(), {torch.float32: math.inf, torch.bfloat16: math.inf}
    torch.set_num_threads(1)  # two would wait for each other where others are using the machine
    try:
        for _ in range(6):  # in turns, and the least of each
            for dtype in least:
                rows, weights = torch.ones(512, 576, dtype=dtype), torch.ones(1536, 576, dtype=dtype)
                start = time.perf_counter()
                linear(rows, weights)
                least[dtype] = min(least[dtype], time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return least[torch.bfloat16] < least[torch.float32]


@cache
def cpu_name() -> str:
    """The processor's marketing name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_cores(usual: int, idle: float | None = None) -> int:
    """How many threads to use: `usual` while so many cores are idle, and what is idle otherwise."""
    idle = idle_cores(0.1) if idle is None else idle
    return usual if idle > usual - 0.5 else max(1, int(idle))


def idle_cores(seconds: float = 0.05, *others: int) -> float:
    """Cores that nobody else used during the next `seconds` (this call sleeps as long).

    What other threads of this process do meanwhile, such as loading, does not count, nor what `others` do:
    processes that belong to this one, by their ids.
    """
    own = [psutil.Process(), *map(psutil.Process, others)]
    before = sum(sum(each.cpu_times()[:2]) for each in own)  # user and system
    busy = (psutil.cpu_count() or 1) * psutil.cpu_percent(interval=seconds) / 100  # of the whole machine
    after = sum(sum(each.cpu_times()[:2]) for each in own)
    return min(float(cores()), max(0.0, cores() - busy + (after - before) / seconds))


def describe() -> str:
    """One line for the foot of a table: which machine the figures come from."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{cpu_name()}, {cores()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def peak_memory_mb() -> float:
    """The most memory that this process held so far, in megabytes."""
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return float(info.peak_wset) / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # Linux: ru_maxrss would count what the process held that started this one
        held = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if held:
            return float(held.split()[1]) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if platform.system() == "Darwin" else peak * 1024) / 1e6

"""This machine: its processor and the number formats it multiplies, its cores and its memory.

>>> describe()
'Intel(R) Xeon(R) Processor, 2 cores, 23 GiB, Linux x86_64'
"""

import math
import os
import platform
import re
from functools import cache
from pathlib import Path

import psutil

from shared.words import count

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": microseconds of each period; "max 100000": all


@cache
def _cpuinfo() -> dict[str, str]:
    """The first processor's entries in /proc/cpuinfo; empty on systems other than Linux."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return {}
    first, _, _ = file.read_text().partition("\n\n")  # an empty line stands between two processors
    entries = {}
    for line in first.splitlines():
        key, _, value = line.partition(":")
        entries[key.strip()] = value.strip()
    return entries


def cpu_flags() -> frozenset[str]:
    """The processor's feature flags; empty if the system doesn't list them."""
    entries = _cpuinfo()
    flags = entries.get("flags") or entries.get("Features") or ""  # ARM has Features
    return frozenset(flags.split())


def bf16_feature() -> str | None:
    """The processor's feature for multiplying bfloat16; None if bfloat16 is emulated, which is slow."""
    return next((flag for flag in ("amx_bf16", "avx512_bf16") if flag in cpu_flags()), None)


def has_fast_bf16_matmul() -> bool:
    """Whether large matrix products are faster in bfloat16 than in float32 on this processor.

    With AMX they are. With only avx512_bf16, AMD's processors took half as long as in float32, Intel's twice
    as long (512 x 576 times 576 x 1536, one thread, torch 2.13).
    """
    feature = bf16_feature()
    return feature == "amx_bf16" or (feature is not None and _cpuinfo().get("vendor_id") == "AuthenticAMD")


def cores() -> int:
    """Cores that this process may use, by its affinity and its container's quota."""
    available = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # macOS and Windows don't have it
        available = len(os.sched_getaffinity(0))
    if not QUOTA.is_file():
        return available
    limit, _, period = QUOTA.read_text().partition(" ")
    if limit == "max":
        return available
    allowed = math.ceil(int(limit) / int(period))
    return max(1, min(available, allowed))


def idle_cores(seconds: float) -> float:
    """Cores that other processes leave idle, measured over the next `seconds`: enough for a benchmark?"""
    before = _seconds_used()
    busy_share = psutil.cpu_percent(interval=seconds) / 100  # of the whole machine, this process included
    own = (_seconds_used() - before) / seconds  # cores
    others = (psutil.cpu_count() or 1) * busy_share - own
    idle = cores() - others
    return min(float(cores()), max(0.0, idle))


def _seconds_used() -> float:
    """Processor time of this process so far, of all its threads."""
    times = psutil.Process().cpu_times()
    return times.user + times.system


def describe() -> str:
    """One line that names the machine, for below a table of measurements."""
    memory = psutil.virtual_memory().total / 2**30
    name = _cpuinfo().get("model name") or platform.processor() or platform.machine()
    return f"{name}, {count(cores(), 'core')}, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def peak_memory_mb() -> float:
    """The peak memory of this process so far, in megabytes."""
    status = Path("/proc/self/status")
    # On Linux, ru_maxrss would include the parent process's peak before exec.
    if status.exists() and (peak := re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)):
        return int(peak[1]) * 1024 / 1e6
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return float(info.peak_wset) / 1e6
    import resource  # which Windows doesn't have

    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak_rss if platform.system() == "Darwin" else peak_rss * 1024) / 1e6

"""Compares what the processes of a sandbox use right now with their limits. Used by keeper.py.

    >>> Watch(os.getpid(), limits, scratch).look()
    'it used more than 2 GiB of memory'

Memory: resident and swapped out, with shared pages counted once (PSS) as soon as it matters, and the page
tables. Buffers of pipes and sockets in the kernel are not counted: at most some 50 MiB for each process.
Processor time: of all processes together, also of those that ended. Disk: the scratch folder, and deleted
files that are still open or mapped. All is read from /proc: other systems show nothing.
"""

import contextlib
import os
import stat
from pathlib import Path

GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
PROC = Path("/proc")


class Watch:
    """Looks at all descendants of one process: `limits` as in limits.py."""

    def __init__(self, keeper: int, limits: dict[str, int], scratch: str) -> None:
        self._keeper, self._limits, self._scratch = keeper, limits, scratch

    def look(self) -> str | None:
        """The limit that is exceeded, as text."""
        processes, tasks = descendants(self._keeper), 0
        for pid in processes:
            with contextlib.suppress(*GONE):
                tasks += len(os.listdir(PROC / str(pid) / "task"))  # noqa: PTH208  (it is quicker)
            if tasks > self._limits["processes"]:
                return f"it ran more than {self._limits['processes']} processes and threads"
        if _processor_time(processes) > self._limits["cpu_seconds"]:
            return f"it used more than {self._limits['cpu_seconds']} s of processor time"
        if self._memory(processes) > self._limits["memory"]:
            return f"it used more than {words(self._limits['memory'])} of memory"
        return self._disk(processes)

    def _memory(self, processes: list[int]) -> int:
        held = {pid: _sum_of(pid, "status", (b"VmRSS:", b"VmSwap:")) for pid in processes}
        tables = sum(_sum_of(pid, "status", (b"VmPTE:",)) for pid in processes)
        if tables + sum(held.values()) <= self._limits["memory"]:
            return tables + sum(held.values())
        shared_once = [_sum_of(pid, "smaps_rollup", (b"Pss:", b"SwapPss:")) or held[pid] for pid in processes]
        return tables + sum(shared_once)

    def _disk(self, processes: list[int]) -> str | None:
        too_much = f"it wrote more than {words(self._limits['disk'])} of files"
        size, count = _deleted(processes, self._scratch, self._limits["file_size"]), 0
        if size > self._limits["disk"]:
            return too_much
        folders = [self._scratch]
        while folders:
            folder = folders.pop()
            try:
                for entry in os.scandir(folder):
                    count += 1
                    with contextlib.suppress(*GONE):
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                    if size > self._limits["disk"]:
                        return too_much
                    if count > self._limits["files"]:
                        return f"it made more than {self._limits['files']} files"
            except PermissionError:  # its owner may open it
                with contextlib.suppress(OSError):
                    os.chmod(folder, 0o700)  # noqa: PTH101
                    folders.append(folder)
            except GONE:
                continue
            except OSError:
                return "it made folders in folders, too deep to look into"
        return None


def _deleted(processes: list[int], scratch: str, file_size: int) -> int:
    """Bytes of deleted files: of open ones the real size, of mapped ones the largest possible."""
    found: dict[tuple[int, int], int] = {}
    for pid in processes:
        with contextlib.suppress(*GONE):
            for entry in os.scandir(PROC / str(pid) / "fd"):
                with contextlib.suppress(*GONE):
                    seen = entry.stat()
                    if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 0:
                        found[seen.st_dev, seen.st_ino] = seen.st_blocks * 512
        with contextlib.suppress(*GONE):
            maps = (PROC / str(pid) / "maps").read_bytes()
            if b"(deleted)" in maps:
                for line in maps.splitlines():
                    fields = line.split(maxsplit=5)
                    if line.endswith(b"(deleted)") and fields[5].startswith(os.fsencode(scratch)):
                        device = os.makedev(*(int(part, 16) for part in fields[3].split(b":")))
                        found.setdefault((device, int(fields[4])), file_size)
    return sum(found.values())


def _processor_time(processes: list[int]) -> float:
    """Seconds of these processes, and of those that ended: a process's count includes its dead children's."""
    ended = os.times()
    ticks = 0
    for pid in processes:
        with contextlib.suppress(*GONE):
            fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # user and system, its own and its children's
    return ended.children_user + ended.children_system + ticks / os.sysconf("SC_CLK_TCK")


def _sum_of(pid: int, file: str, names: tuple[bytes, ...]) -> int:
    """The sum of some lines of a file of /proc, in bytes."""
    with contextlib.suppress(*GONE):
        lines = (PROC / str(pid) / file).read_bytes().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(names))
    return 0


def descendants(pid: int) -> list[int]:
    """All processes that it started, and those that these started."""
    parents: dict[int, list[int]] = {}
    for entry in os.scandir(PROC) if PROC.exists() else ():
        if entry.name.isdecimal():
            with contextlib.suppress(*GONE):
                facts = (PROC / entry.name / "stat").read_bytes().rpartition(b")")[2]
                parents.setdefault(int(facts.split()[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def words(size: int) -> str:
    """A size for people."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift:
            return f"{size / (1 << shift):.3g} {unit}"
    return f"{size} bytes"

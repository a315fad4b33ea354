"""The limits of a sandbox, and the few variables of its environment.

    >>> Limits(memory=1 << 30).rlimits()["DATA"]
    1073741824

The kernel enforces what it can (resource limits); keeper.py checks the rest ten times a second. Address space
is not limited, since torch reserves it without using it: RLIMIT_DATA counts what one process may write to,
and the watch counts what all of them together really hold.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """For all processes of one sandbox together; sizes in bytes."""

    memory: int = 2 << 30
    processes: int = 64  # and threads
    disk: int = 64 << 20  # in its scratch folder
    files: int = 4096  # in its scratch folder
    output: int = 4 << 20  # printed
    file_size: int = 16 << 20  # each
    open_files: int = 256  # each process
    cpu_seconds: int = 600  # of processor time; how long a test may take is not decided here

    def rlimits(self) -> dict[str, int]:
        """As RLIMIT_ names, for each process. The kernel counts processes by user: see `Place.first`."""
        return {
            "DATA": self.memory,
            "FSIZE": self.file_size,
            "NOFILE": self.open_files,
            "CPU": self.cpu_seconds,
            "CORE": 0,
            "NPROC": self.processes,
        }


def environment(scratch: Path) -> dict[str, str]:
    """The whole environment, without any key or path of the grader. One thread, as classes share cores."""
    one = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "CUDA_VISIBLE_DEVICES": "",
        "TOKENIZERS_PARALLELISM": "false",
        **dict.fromkeys(one, "1"),
    }

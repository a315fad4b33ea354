"""Level 1: Landlock, through the package sandlock, and the filter of seccomp.py. Needs no root and no set-up.

Landlock is the kernel's own way for a process to give up files
(docs.kernel.org/userspace-api/landlock.html): what is not listed can't be opened, not even by root. It also
blocks signals to other processes and access to their memory. Linux 6.2 or newer, also in containers.

sandlock offers more. These parts were tried and are not used (0.9.0, Linux 6.18):
- `popen` runs a supervisor that is asked for each open, stat and close: 97 us instead of 1.3, and importing
  torch takes 3.8 s instead of 1.2. `confine` is Landlock alone and costs nothing after the start.
- `max_memory` needs that supervisor, and does not count memfds; `max_processes` does not count threads.
- Its network rules let through MPTCP (which any TCP server answers), sends that connect (MSG_FASTOPEN) and
  listening without binding. Modes, owners and times of the same user's files can be changed, as can limits
  and priorities of the grader, and root keeps all rights. The filter and another user id stop these.
"""

import ctypes
import importlib.util
import platform
from pathlib import Path

from classroom.isolation import seccomp
from classroom.isolation.place import Missing, Place, closed_to_others, may

OWN = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
)
DAC_READ_SEARCH = 2  # of capabilities(7)
SIGNALS_SINCE = 6  # version of Landlock
WEAKER = ("FS_IOCTL_DEV", "NET_TCP", "ABSTRACT_UNIX_SOCKET_SCOPE", "SIGNAL_SCOPE")  # the filter stops these


def command(place: Place) -> list[str]:
    """The first command of such a sandbox: another user (for root), Landlock, the filter.

    Raises:
        Missing: no sandlock, no Landlock, or no filter for this machine.
    """
    found = importlib.util.find_spec("sandlock")
    if found is None or found.origin is None:
        raise Missing("the package sandlock is not installed: pip install sandlock (Linux only)")
    version = landlock_version()
    if version < 3:
        raise Missing("this kernel has no Landlock of version 3 or newer (Linux 6.2)")
    if not seccomp.program():
        raise Missing(f"no filter of system calls is known for {platform.machine()}")
    readable = place.readable()
    rules = {
        "packages": str(Path(found.origin).parents[1]),
        "readable": [*readable, *(path for path in OWN if Path(path).exists())],
        "writable": [str(place.scratch), "/dev/null"],
        "weaker": WEAKER,
    }
    closed = place.uid is not None and closed_to_others([*readable, place.command[3]])
    if closed and not may(DAC_READ_SEARCH):
        raise Missing(f"other users may not read {closed}, and root here has no right to let them")
    return place.first(
        landlock=rules,
        forbidden=place.hidden(),
        read_all=bool(closed),
        signals=place.uid is not None or version >= SIGNALS_SINCE,
    )


def landlock_version() -> int:
    """The version of Landlock in this kernel; negative without it."""
    return ctypes.CDLL(None, use_errno=True).syscall(444, None, ctypes.c_size_t(0), 1)

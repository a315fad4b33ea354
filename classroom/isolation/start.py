"""The first program in a sandbox: gives up its rights, then becomes the worker.

    python -I -S start.py SPEC

SPEC is JSON: what to give up, and the command of the worker (see place.py). This file is trusted and stands
alone: it runs before anything of a submission, with the standard library only (and sandlock, on that level).
The kernel lets no process take back any of these steps.
"""

import base64
import contextlib
import ctypes
import json
import os
import resource
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SET_KEEPCAPS, SET_SECCOMP, CAPBSET_DROP, SET_NO_NEW_PRIVS, CAP_AMBIENT = 8, 22, 24, 38, 47  # of prctl(2)
DAC_READ_SEARCH = 2  # of capabilities(7)
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # of landlock(7), on every machine
EXECUTE_READ = 1 | 4
libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Take all steps in order, then become the worker."""
    spec = json.loads(sys.argv[1])
    os.closerange(3, 1 << 16)
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setsid()
    os.umask(0o077)
    os.nice(spec["nice"])
    limit(spec["rlimits"])
    if sys.platform == "linux":
        confine = sandlock(spec["landlock"]) if spec["landlock"] else lambda: None  # loaded while it can be
        become(spec["uid"], spec["read_all"])
        control(SET_NO_NEW_PRIVS, 1)
        if spec["forbidden"]:
            forbid([Path(each) for each in spec["forbidden"]])
        confine()
        if spec["filter"]:
            refuse(base64.b64decode(spec["filter"]))
    os.chdir(spec["scratch"])  # its owner may, root without rights may not
    os.execv(spec["command"][0], spec["command"])


def limit(rlimits: dict[str, int]) -> None:
    """Set resource limits, never above the present ones. SIGXCPU comes a second before SIGKILL."""
    for name, value in rlimits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            there_is = resource.getrlimit(kind)[1]
            most = sys.maxsize if there_is == resource.RLIM_INFINITY else there_is
            soft = min(value, most)
            resource.setrlimit(kind, (soft, min(soft + (name == "CPU"), most)))


def sandlock(rules: dict[str, Any]) -> Callable[[], None]:
    """A function that confines this process by Landlock to some paths."""
    sys.path.append(rules["packages"])
    from sandlock import Protection, Sandbox, confine

    weaker = [Protection[name] for name in rules["weaker"]]
    policy = Sandbox(fs_readable=rules["readable"], fs_writable=rules["writable"], allow_degraded=weaker)
    return lambda: confine(policy)


def become(uid: int | None, read_all: bool) -> None:
    """Become another user without any capability but, with `read_all`, that to read all files.

    It is for a Python in root's own folder, on the level where Landlock restricts what may be read.
    """
    if os.geteuid() == 0:
        for capability in range(64):  # not allowed where there is nothing to drop
            if not (read_all and capability == DAC_READ_SEARCH):
                libc.prctl(CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)
    if uid is None:
        return
    control(SET_KEEPCAPS, int(read_all))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if read_all:
        bit = 1 << DAC_READ_SEARCH
        header = ctypes.create_string_buffer(struct.pack("=Ii", 0x2008_0522, 0))
        checked(libc.capset(header, ctypes.create_string_buffer(struct.pack("=6I", bit, bit, bit, 0, 0, 0))))
        control(CAP_AMBIENT, 2, DAC_READ_SEARCH)  # so that it outlives the exec


def forbid(paths: list[Path]) -> None:
    """Add a layer of Landlock: files below these paths can't be read, though the folders around them can.

    Landlock has no exceptions, so instead everything beside the way to each path is allowed. Names can still
    be listed: Python's importer lists whole folders.
    """
    handled = ctypes.create_string_buffer(struct.pack("=QQ", EXECUTE_READ, 0))
    ruleset = checked(system(CREATE_RULESET, ctypes.addressof(handled), 16, 0))
    hidden = {path.resolve() for path in paths}
    folders = {folder for path in hidden for folder in path.parents}
    for beside in {each for folder in folders for each in folder.iterdir()} - hidden - folders:
        if beside.is_symlink():
            continue  # its target has a path of its own
        try:
            opened = os.open(beside, os.O_PATH)
        except FileNotFoundError:
            continue  # removed since it was listed
        rule = ctypes.create_string_buffer(struct.pack("=Qi", EXECUTE_READ, opened))
        checked(system(ADD_RULE, ruleset, 1, ctypes.addressof(rule), 0))
        os.close(opened)
    checked(system(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def refuse(program: bytes) -> None:
    """The filter of system calls: classic BPF, eight bytes a step."""
    steps = ctypes.create_string_buffer(program, len(program))
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(steps)))
    control(SET_SECCOMP, 2, ctypes.addressof(filter_))


def control(option: int, *values: int) -> None:
    """prctl(2).

    Raises:
        OSError: the kernel refused.
    """
    rest = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    checked(libc.prctl(option, *rest))


def system(*values: int) -> int:
    """syscall(2)."""
    return libc.syscall(*(ctypes.c_long(value) for value in values))


def checked(result: int) -> int:
    """The result of a call of the C library.

    Raises:
        OSError: it failed.
    """
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


if __name__ == "__main__":
    main()

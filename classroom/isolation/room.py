"""A room of its own for a sandbox, made by root with mounts and namespaces. Used by keeper.py.

`scratch` puts a file system of fixed size under the scratch folder. `enter` makes a root folder that holds
only what is listed, read-only, with processes, network and messages of its own, and goes in: what is not
listed is not there. This is what bubblewrap does, in the few calls that are needed where root has no
bubblewrap.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x2_0000, 0x400_0000, 0x800_0000, 0x2000_0000, 0x4000_0000
RDONLY, NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18  # of mount(2)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
DETACH = 2  # of umount(2)
libc = ctypes.CDLL(None, use_errno=True)


def unshare(namespaces: int) -> None:
    """Raises OSError where this is not allowed, as in most containers."""
    if libc.unshare(namespaces) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")


def mount(source: str, target: str | Path, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    words = [os.fsencode(each) for each in (source, target, kind)]
    if libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {target}: {os.strerror(code)}")


def scratch(folder: str, size: int, files: int, uid: int) -> None:
    """From here on this process and its children see a small file system there."""
    unshare(NEWNS)
    mount("none", "/", "none", REC | PRIVATE)  # nothing that is mounted from now on is seen by others
    mount(
        "none", folder, "tmpfs", NOSUID | NODEV, f"size={size},nr_inodes={files},mode=700,uid={uid},gid={uid}"
    )


def leave(folder: str) -> None:
    """Take that file system away again."""
    libc.umount2(os.fsencode(folder), DETACH)


def enter(spec: dict[str, Any]) -> None:
    """Build the room and go in; returns in a child that is its process 1's child."""
    unshare(NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS)
    first = os.fork()
    if first:
        os.close(0)
        os.close(1)
        _as_it_ended(os.waitpid(first, 0)[1])
    mount("none", "/", "none", REC | PRIVATE)
    root = Path(spec["root"])
    mount("none", root, "tmpfs", NOSUID | NODEV, "size=1m,nr_inodes=4096,mode=755")
    for path in (*spec["readable"], *DEVICES, spec["scratch"]):
        _bind(Path(path), root, read_only=path != spec["scratch"] and path not in DEVICES)
    for path in spec["hidden"]:
        mount("none", root / path.lstrip("/"), "tmpfs", RDONLY, "size=4k")
    (root / "proc").mkdir()
    mount("proc", root / "proc", "proc", NOSUID | NODEV)
    mount("none", root, "none", REMOUNT | BIND | RDONLY)
    os.chroot(root)
    os.chdir("/")
    worker = os.fork()
    if not worker:
        return
    os.close(0)
    os.close(1)
    while True:  # process 1: what is orphaned comes here; when it goes, the kernel ends all the others
        pid, status = os.wait()
        if pid == worker:
            _as_it_ended(status)


def _bind(path: Path, root: Path, read_only: bool) -> None:
    inside = root / str(path).lstrip("/")
    inside.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        if not inside.is_symlink():
            inside.symlink_to(path.readlink())
        return
    if path.is_dir():
        inside.mkdir(exist_ok=True)
    else:
        inside.touch()
    mount(str(path), inside, "none", BIND | REC)
    if read_only:
        mount("none", inside, "none", REMOUNT | BIND | RDONLY | NOSUID | NODEV)


def _as_it_ended(status: int) -> None:
    """End as that process did, in the words of a shell: 128 and the signal."""
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)

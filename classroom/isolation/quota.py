"""A file system of fixed size under the scratch folder, where root may make one. Used by keeper.py."""

from __future__ import annotations

import ctypes
import os

NEWNS = 0x2_0000  # of unshare(2)
NOSUID, NODEV, REC, PRIVATE = 2, 4, 16384, 1 << 18  # of mount(2)
DETACH = 2  # of umount(2)
libc = ctypes.CDLL(None, use_errno=True)


def put(folder: str, size: int, files: int, uid: int) -> None:
    """From here on this process and its children see a small file system there.

    Raises:
        OSError: this is not allowed, as in most containers.
    """
    _checked(libc.unshare(NEWNS))
    _mount("none", "/", "none", REC | PRIVATE)  # nothing that is mounted from now on is seen by others
    limits = f"size={size},nr_inodes={files},mode=700,uid={uid},gid={uid}"
    _mount("none", folder, "tmpfs", NOSUID | NODEV, limits)


def take_away(folder: str) -> None:
    """Take that file system away again."""
    libc.umount2(os.fsencode(folder), DETACH)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = [os.fsencode(each) for each in (source, target, kind)]
    _checked(libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data)))


def _checked(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))

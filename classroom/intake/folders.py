"""A submission that is a folder on the disk. Used by reader.py, in its own process."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from classroom.intake.source import MAX_BYTES, MAX_ENTRIES, Missing, Refused, limited

MAX_NAMES = 1_000  # of a folder that are looked at


class Folder:
    """A folder on the disk. Each part of a path is opened from the part before, without following links."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        folders, others = [], []
        try:
            handle = self._open(folder, os.O_DIRECTORY) if folder else os.open(self._path, os.O_RDONLY)
        except (OSError, Refused):
            return [], []
        try:
            with os.scandir(handle) as entries:
                for _, entry in zip(range(MAX_NAMES), entries, strict=False):
                    is_folder = entry.is_dir(follow_symlinks=False)
                    (folders if is_folder else others).append(entry.name)
        except OSError:
            return [], []
        finally:
            os.close(handle)
        return folders, others

    def read(self, name: str) -> bytes:
        try:
            handle = self._open(name, os.O_NONBLOCK)  # should a pipe have come to its place, it won't hold us
        except (FileNotFoundError, NotADirectoryError):
            raise Missing("it is not there") from None
        except OSError as error:
            raise Refused(_why(error)) from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Refused("it is not an ordinary file")
            with os.fdopen(handle, "rb", closefd=False) as file:
                return limited(file.read(MAX_BYTES + 1))
        except OSError as error:
            raise Refused(_why(error)) from None
        finally:
            os.close(handle)

    def _open(self, name: str, flags: int) -> int:
        handle = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            *folders, last = name.split("/")
            for part in folders:
                inner = self._step(handle, part, os.O_DIRECTORY)
                os.close(handle)
                handle = inner
            return self._step(handle, last, flags)
        finally:
            os.close(handle)

    def _step(self, handle: int, part: str, flags: int) -> int:
        if part in ("", ".", ".."):
            raise Refused("its path leads elsewhere")
        kind = os.stat(part, dir_fd=handle, follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            raise Refused(f"{part} is a symbolic link")
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise Refused("it is not an ordinary file")  # to open a device may do something
        return os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=handle)

    def dates(self) -> Iterator[float]:
        """When each regular file was written to, in seconds of 1970."""
        seen = 0
        for folder, _, names in os.walk(self._path):
            for name in names:
                if (seen := seen + 1) > MAX_ENTRIES:
                    return
                facts = os.lstat(os.path.join(folder, name))  # noqa: PTH118
                if stat.S_ISREG(facts.st_mode):
                    yield facts.st_mtime


def _why(error: OSError) -> str:
    return f"it can't be read ({error.strerror or type(error).__name__})"

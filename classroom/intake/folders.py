"""A submission that is a folder on the disk. Used by reader.py, in its own process."""

import contextlib
import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MAX_BYTES = 1 << 20  # of a file
MAX_ENTRIES = 5_000  # of an archive, and of a folder whose dates are read
MAX_NAMES = 1_000  # of a folder that are looked at


class Refused(Exception):
    """A file is refused; the text says why."""


class Missing(Refused):
    """It is not there."""


def read_file(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The contents of a regular file.

    Raises:
        Missing: there is none.
        Refused: it is larger than `limit`, no such file, or can't be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Refused("it is not an ordinary file")
        with path.open("rb") as file:
            return limited(file.read(limit + 1), limit)
    except (FileNotFoundError, NotADirectoryError):
        raise Missing("it is not there") from None
    except OSError as error:
        raise Refused(f"it can't be read ({error.strerror})") from None


def limited(content: bytes, limit: int = MAX_BYTES) -> bytes:
    """The contents, unless they are too large.

    Raises:
        Refused: they are.
    """
    if len(content) > limit:
        raise Refused(f"it is larger than {limit >> 20} MiB")
    return content


class Folder:
    """A folder on the disk. No link in it is followed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        """The folders and the other entries in a folder; an empty name is the top."""
        folders, others = [], []
        with contextlib.suppress(OSError), os.scandir(self._path / folder) as entries:
            for entry in islice(entries, MAX_NAMES):
                (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
        return folders, others

    def read(self, name: str) -> bytes:
        """A file's contents.

        Raises:
            Missing: there is none.
            Refused: it may not be read.
        """
        path = self._path
        for part in name.split("/"):
            path /= part
            if os.path.islink(path):  # noqa: PTH114  (false where it can't be looked at)
                raise Refused(f"{part} is a symbolic link")
        return read_file(path)

    def dates(self) -> Iterator[float]:
        """When each regular file was last written, in seconds since 1970."""
        files = (os.path.join(folder, name) for folder, _, names in os.walk(self._path) for name in names)  # noqa: PTH118
        for path in islice(files, MAX_ENTRIES):
            facts = os.lstat(path)
            if stat.S_ISREG(facts.st_mode):
                yield facts.st_mtime

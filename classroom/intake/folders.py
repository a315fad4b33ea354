"""A submission that is a folder on the disk. Used by reader.py, in its own process."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MAX_BYTES = 1 << 20  # of a file
MAX_ENTRIES = 5_000  # of an archive, and of a folder whose dates are read
MAX_NAMES = 1_000  # of a folder that are looked at
# No link is followed, and opening a pipe in place of a file does not block.
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Refused(Exception):
    """A file is refused; the text says why."""


class Missing(Refused):
    """It is not there."""


def limited(content: bytes) -> bytes:
    """The contents, unless they are too large.

    Raises:
        Refused: they are.
    """
    if len(content) > MAX_BYTES:
        raise Refused(f"it is larger than {MAX_BYTES:,} bytes")
    return content


class Folder:
    """A folder on the disk. Each part of a path is opened from the part before."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        """The folders and the other entries in a folder; an empty name is the top."""
        folders, others = [], []
        with (
            contextlib.suppress(OSError, Refused),
            self._opened(folder) as handle,
            os.scandir(handle) as entries,
        ):
            for entry in islice(entries, MAX_NAMES):
                (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
        return folders, others

    def read(self, name: str) -> bytes:
        """A file's contents.

        Raises:
            Missing: there is none.
            Refused: it may not be read.
        """
        try:
            with self._opened(name) as handle:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise Refused("it is not an ordinary file")
                with os.fdopen(handle, "rb", closefd=False) as file:
                    return limited(file.read(MAX_BYTES + 1))
        except (FileNotFoundError, NotADirectoryError):
            raise Missing("it is not there") from None
        except OSError as error:
            if error.errno == errno.ENXIO:  # a socket
                raise Refused("it is not an ordinary file") from None
            raise Refused(f"it can't be read ({error.strerror})") from None

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        handle = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in filter(None, path.split("/")):
                try:
                    inner = os.open(part, FLAGS, dir_fd=handle)
                except OSError as error:
                    if error.errno == errno.ELOOP:
                        raise Refused(f"{part} is a symbolic link") from None
                    raise
                os.close(handle)
                handle = inner
            yield handle
        finally:
            os.close(handle)

    def dates(self) -> Iterator[float]:
        """When each regular file was last written, in seconds since 1970."""
        files = (os.path.join(folder, name) for folder, _, names in os.walk(self._path) for name in names)  # noqa: PTH118
        for path in islice(files, MAX_ENTRIES):
            facts = os.lstat(path)
            if stat.S_ISREG(facts.st_mode):
                yield facts.st_mtime

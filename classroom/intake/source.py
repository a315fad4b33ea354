"""What a submission is read from, and why a file of it may not be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

MAX_BYTES = 1 << 20  # of a file
MAX_ENTRIES = 5_000  # of an archive, and of a folder whose dates are read


class Refused(Exception):
    """Why a file is not taken, in words."""


class Missing(Refused):
    """It is not there."""


class Source(Protocol):
    """A folder or an archive."""

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        """Folders and other things in a folder; an empty name is the top."""
        ...

    def read(self, name: str) -> bytes:
        """A file's contents.

        Raises:
            Missing: there is none.
            Refused: it may not be read.
        """
        ...

    def dates(self) -> Iterator[float]:
        """When each regular file was written to, in seconds of 1970, as the submission says."""
        ...


def limited(content: bytes) -> bytes:
    """The contents, unless they are too much.

    Raises:
        Refused: they are.
    """
    if len(content) > MAX_BYTES:
        raise Refused(f"it is larger than {MAX_BYTES:,} bytes")
    return content

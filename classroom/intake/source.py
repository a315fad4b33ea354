"""Where the files of a submission are read from, and why one may not be read."""

from __future__ import annotations

from typing import Protocol

MAX_BYTES = 1 << 20  # of a file


class Refused(Exception):
    """Why a file is not intake, in words."""


class Missing(Refused):
    """It is not there."""


class Source(Protocol):
    """A folder or an archive."""

    outside: list[str]  # names that would lead out of it

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


def limited(content: bytes) -> bytes:
    """The contents, unless they are too much.

    Raises:
        Refused: they are.
    """
    if len(content) > MAX_BYTES:
        raise Refused(f"it is larger than {MAX_BYTES:,} bytes")
    return content

"""Why a file of a submission is refused, and how large it may be."""

from __future__ import annotations

MAX_BYTES = 1 << 20  # of a file
MAX_ENTRIES = 5_000  # of an archive, and of a folder whose dates are read


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

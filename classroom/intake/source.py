"""Why a file of a submission may not be read, and how large it may be."""

from __future__ import annotations

MAX_BYTES = 1 << 20  # of a file
MAX_ENTRIES = 5_000  # of an archive, and of a folder whose dates are read


class Refused(Exception):
    """Why a file is not taken, in words."""


class Missing(Refused):
    """It is not there."""


def limited(content: bytes) -> bytes:
    """The contents, unless they are too much.

    Raises:
        Refused: they are.
    """
    if len(content) > MAX_BYTES:
        raise Refused(f"it is larger than {MAX_BYTES:,} bytes")
    return content

"""Keep the memory that a training step gives back: the next step takes the same amount again.

Large buffers go back to the system as soon as they are free, and come again as pages full of zeros, one page
fault each: a third of the time of a step and more on a processor. glibc's `mallopt` has it keep them. Linux
only; elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_memory() -> bool:
    """Whether the C library agreed to keep what is freed."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return all((mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, 2**31 - 1), mallopt(M_TOP_PAD, 2**28)))

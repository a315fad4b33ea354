"""Level 2: limits of the kernel's for a process, and nothing more. NOT SAFE for strangers' code.

A submission runs as the grader's own user: it can read the solutions and the other submissions, write
wherever that user can, and end the grader. It can't use up the machine, nor, on Linux, reach the network. It
is there so that learners' own code, and that of people one trusts, can be graded everywhere. macOS has only
this; the code has never run there.
"""

from __future__ import annotations

import sys

from classroom.isolation.place import Missing, Place


def command(place: Place) -> list[str]:
    """The first command of such a sandbox.

    Raises:
        Missing: Windows has no such limits.
    """
    if sys.platform == "win32":
        raise Missing("Windows can't limit a process: use WSL, or Linux")
    return place.first(modes=False)

"""Runs in a sandbox instead of a worker, once for each level: tries what must not work, and reports what did.

    python -I -S probe.py FACTS

FACTS is JSON: a port on which the grader listens, its pid, a file of the repository, a file outside. The
answer is a line of JSON: the rows of `STOPS` (stops.py) that went through.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def attempts(facts: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Each raises an exception if it is stopped."""
    grader = facts["grader"]
    return {
        "network": lambda: socket.create_connection(("127.0.0.1", facts["port"]), 1),
        "solutions": lambda: Path(facts["solution"]).read_bytes(),
        "writing": lambda: Path(facts["outside"]).write_bytes(b""),
        "signals": lambda: os.kill(grader, 0),
        "memory of the grader": lambda: Path(f"/proc/{grader}/environ").read_bytes(),
        "modes and times": lambda: changed_mode(Path(facts["outside"])),
    }


def changed_mode(path: Path) -> None:
    """Raises OSError if that is not allowed, or is reported as done and was not."""
    mode = path.stat().st_mode
    path.chmod(mode ^ 0o001)
    if path.stat().st_mode == mode:
        raise OSError


def main() -> None:
    """Try all of them. A scratch folder that can't be written to is an error."""
    Path("proof").write_text("can be written")
    worked = []
    for name, attempt in attempts(json.loads(sys.argv[1])).items():
        try:
            attempt()
        except OSError:
            continue
        worked.append(name)
    os.write(1, json.dumps(worked).encode() + b"\n")


if __name__ == "__main__":
    main()

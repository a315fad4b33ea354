"""Ends a command in one line if this Python lacks the course's libraries: mostly, .venv is not active.

shared/__init__.py calls this, and the packages of the steps import shared, so that no command gets as far as
a traceback. A program that imports the packages as libraries is left alone.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise

from shared.exit_code import ExitCode


def require_libraries() -> None:
    """End the process if it is a command of the course and typer is missing, which every command needs."""
    if find_spec("typer") is not None or not is_command(sys.orig_argv):
        return
    activate = r".venv\Scripts\activate" if os.name == "nt" else "source .venv/bin/activate"
    print(
        f"error: typer is not installed in this Python ({sys.executable}): "
        f"run `make install`, then `{activate}`",
        file=sys.stderr,
    )
    sys.exit(ExitCode.USAGE)


def is_command(arguments: Sequence[str]) -> bool:
    """Whether a process with these arguments runs a module of the course.

    >>> is_command(["python3", "-m", "step1_foundations.minimal"]), is_command(["python3", "-m", "pytest"])
    (True, False)
    """
    modules = [value for option, value in pairwise(arguments) if option == "-m"]
    package = modules[0].partition(".")[0] if modules else ""
    return package in ("shared", "classroom") or package.startswith("step")

"""How commands end: what their exit codes mean."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1  # the command ran, and its check failed
    USAGE = 2  # an error that the user can fix, in one line on stderr
    INCOMPLETE = 3  # there is a result, but a part of it is missing
    INTERRUPTED = 130  # Ctrl-C

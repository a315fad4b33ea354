"""Where a submission runs: the seam between the grader and the sandboxes, which are the other files here."""

from __future__ import annotations

from typing import Protocol


class Sandboxed(Protocol):
    """A worker in a sandbox, with pipes: file descriptors, `stdin` and `stdout` not blocking."""

    level: str  # sandlock, bubblewrap, other-uid or rlimits
    stdin: int
    stdout: int

    def broken(self) -> str | None:
        """Which limit it has run into (memory, disk, output, processes), in words; None while all is well."""
        ...

    def why_ended(self) -> str:
        """In words, once it has closed its pipes: exit code, signal, limit."""
        ...

    def output(self) -> str:
        """The end of what it printed (stdout and stderr), bounded, as text."""
        ...

    def close(self) -> None:
        """End it and everything that it started; never raises, never waits for long."""
        ...

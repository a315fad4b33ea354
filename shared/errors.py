"""The exception for everything that a user can cause: printed as one line, exit code 2, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """In one line: what is wrong, what is allowed, what to do."""


def reason(error: BaseException) -> str:
    """An exception's message on one line of at most 200 characters; its class where it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def explain_load_errors(what: str, folder: Path) -> Iterator[None]:
    """Turn whatever a loader raises over damaged or missing files into a `UserError`.

    Raises:
        UserError: names `what`, the folder and the cause.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = f"{error} is missing from its files" if isinstance(error, KeyError) else reason(error)
        if "above report" in cause:  # transformers logs that report, and its log is off
            cause = "its config.json and its weights have different shapes"
        raise UserError(f"{what} cannot be loaded from {folder}: {cause}") from None

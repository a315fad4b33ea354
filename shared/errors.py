"""The exception for errors that a user can cause: printed as one line, exit code 2, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """The message says in one line what is wrong, what is allowed and what to do."""


def reason(error: BaseException) -> str:
    """An exception's message on one line, at most 200 characters; its class name if it has no message."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def explain_load_errors(what: str, folder: Path) -> Iterator[None]:
    """Turn any exception of a loader, such as one about a damaged or missing file, into a `UserError`.

    Raises:
        UserError: names `what`, the folder and the cause.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = f"{error} is missing from its files" if isinstance(error, KeyError) else reason(error)
        if "above report" in cause:  # transformers refers to its log, which is switched off
            cause = "its config.json and its weights have different shapes"
        raise UserError(f"{what} cannot be loaded from {folder}: {cause}") from None

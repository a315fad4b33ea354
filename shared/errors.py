"""The one exception for what a user can put right: printed as a single line, exit code 2, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """What was wrong, what is allowed, what to do, in one line."""


def reason(error: BaseException) -> str:
    """What an exception says, on one line of bearable length; its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def explain_load_errors(what: str, folder: Path) -> Iterator[None]:
    """Whatever a loader raises over damaged, missing or foreign files (it has a dozen kinds) in one line.

    Raises:
        UserError: in place of all of them.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = f"its files say nothing of {error}" if isinstance(error, KeyError) else reason(error)
        if "above report" in cause:  # which is switched off
            cause = "its config.json and its weights have different shapes"
        place = "" if what.endswith(str(folder)) else f" from {folder}"
        raise UserError(f"{what} cannot be loaded{place}: {cause}") from None

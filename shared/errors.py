"""The one exception for what a user can put right: printed as a single line, exit code 2, no traceback."""


class UserError(Exception):
    """What was wrong, what is allowed, what to do, in one line."""


def reason(error: BaseException) -> str:
    """What an exception says, on one line of bearable length; its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__

"""The one exception for what a user can put right: printed as a single line, exit code 2, no traceback."""


class UserError(Exception):
    """What was wrong, what is allowed, what to do, in one line."""

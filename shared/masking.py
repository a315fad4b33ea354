"""Masks secrets in logs, error messages and responses.

>>> masked("nobody answers at http://me:secret@host:8000/v1")
'nobody answers at http://***@host:8000/v1'
"""

import re

SECRET = re.compile(
    r"s5_[0-9a-f]{8}_[\w-]{43}"  # a key of step 5's service
    r"|sk-[\w-]{16,}"  # a key of Anthropic's or OpenAI's API
    r"|(?<=bearer )[^\s'\"]+"
    r"|(?<=://)[^/\s'\"]+(?=@)",  # user and password in a URL
    re.IGNORECASE,
)


def masked(text: str, by: str = "***") -> str:
    """The text with `by` in place of every API key, bearer token, and user and password in a URL."""
    return SECRET.sub(by, text)

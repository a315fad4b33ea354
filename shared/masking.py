"""Takes secrets out of texts that go to logs, to error messages, to callers.

>>> masked("nobody answers at http://me:secret@host:8000/v1")
'nobody answers at http://***@host:8000/v1'
"""

from __future__ import annotations

import re

SECRET = re.compile(
    r"s5_[0-9a-f]{8}_[\w-]{43}"  # a key of step 5's service
    r"|sk-[\w-]{16,}"  # of Anthropic's or OpenAI's API
    r"|(?<=bearer )[^\s'\"]+"
    r"|(?<=://)[^/\s'\"]+(?=@)",  # user and password of an address
    re.IGNORECASE,
)


def masked(text: str, by: str = "***") -> str:
    """The text with `by` in place of every API key, bearer token, and user with password of an address."""
    return SECRET.sub(by, text)

"""Masks secrets in logs, error messages and responses.

>>> masked("nobody answers at http://me:secret@host:8000/v1")
'nobody answers at http://***@host:8000/v1'

A step that gives out keys of its own adds their pattern when its package is imported.
"""

import re

PATTERNS = [
    r"sk-[\w-]{16,}",  # a key of Anthropic's or OpenAI's API
    r"(?<=bearer )[^\s'\"]+",
    r"(?<=://)[^/\s'\"]+(?=@)",  # user and password in a URL
]


def mask_also(pattern: str) -> None:
    """From now on, `masked` replaces what this pattern matches, too, in upper or lower case."""
    if pattern not in PATTERNS:  # a reloaded module
        PATTERNS.insert(0, pattern)


def masked(text: str, by: str = "***") -> str:
    """The text with `by` in place of every API key, bearer token, and user and password in a URL."""
    return re.sub("|".join(PATTERNS), by, text, flags=re.IGNORECASE)

"""Submitted text as harmless data: for terminals, CI runners and files."""

import re
import unicodedata

# What GitHub's and Azure's runners obey: `::` where a line begins, `##[` and `##vso[` anywhere in it. A space
# splits them: their comparisons may not see a character without width.
COMMAND = re.compile(r"(^\s*:)(?=:)|#(?=#(?:vso)?\[)", re.MULTILINE)
LONGEST = 4_000


def harmless(text: str, limit: int = LONGEST) -> str:
    r"""A submission's text as harmless data.

    >>> harmless("\x1b[31mred\n::set-output name=x::1")
    '[31mred\n: :set-output name=x::1'
    """
    plain = "".join(c for c in text[: 4 * limit] if c == "\n" or unicodedata.category(c)[0] != "C")
    plain = COMMAND.sub(lambda found: f"{found[0]} ", plain)
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"

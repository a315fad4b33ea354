"""Where a question may come apart: at the end of a sentence, at "and", "or", "then", "versus", at commas.

    >>> [text for text in pieces("What's the weather in Paris, and what time is it there?")]
    ["What's the weather in Paris, ", 'and what time is it there?']

Pieces are candidates: chooser.py decides which of them belong together. Together they are the whole text, so
the word that joins two of them stands at the beginning of the second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST = 8  # pieces; the last one holds the rest

JOINTS = re.compile(
    r"(?<=[.?!;])\s+(?=\S)"
    r"|,?\s+(?!and a (?:half|quarter)\b)(?=(?:and|but|then|plus|or|also|versus|vs\.?|against|behind|ahead of|than|compared (?:to|with)|as well as|&)\s)"
    r"|(?<=[,:])\s+(?=\S)"
    r"|\s(?=[–—-]\s)|\n+",
    re.I,
)
ABBREVIATION = re.compile(
    r"(?:\b(?:St|Mt|Ft|Dr|Mr|Mrs|Ms|Inc|Corp|Co|Ltd|vs|approx|No)|\b[A-Za-z](?:\.[A-Za-z])*)\.$", re.I
)
OPENING = re.compile(
    r"^[\s,;:–—-]*(?:(?:and|but|then|plus|or|also|versus|vs\.?|against|behind|ahead of|than|compared (?:to|with)|as well as|&)\s+)*",
    re.I,
)


def pieces(text: str) -> list[str]:
    """The pieces, in order; numbers (1,000) and abbreviations (St. Louis, U.S.) stay whole."""
    cuts = [0]
    for joint in JOINTS.finditer(text):
        before = text[: joint.start()]
        if ABBREVIATION.search(before) or not text[cuts[-1] : joint.end()].strip(" ,;:.–—-"):
            continue
        if len(cuts) == MOST:
            break
        cuts.append(joint.end())
    parts = [text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    return [part for part in parts if part.strip()]


def without_joint(text: str) -> str:
    """A piece without the word that joins it to the one before."""
    return OPENING.sub("", text).strip()


def is_item(parts: Sequence[str], i: int) -> bool:
    """Whether a piece may be one more item of an enumeration: `Nairobi` of "Cairo, Nairobi or Rome".

    After a comma alone only if an "and" or "or" follows: "Sydney, Australia" is one place.
    """
    return i > 0 and any(begins_item(part) for part in parts[i:])


def begins_item(part: str) -> bool:
    """Whether a piece begins with a word that joins it to the one before."""
    joint = OPENING.match(part)
    return joint is not None and joint.group().strip(" ,;:–—-\n") != ""

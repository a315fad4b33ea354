"""Where a question may come apart: at the end of a sentence, at "and", "or", "then", "versus", at commas.

    >>> [text for text in pieces("What's the weather in Paris, and what time is it there?")]
    ["What's the weather in Paris, ", 'and what time is it there?']

Pieces are candidates: chooser.py decides which of them belong together. Together they are the whole text, so
the word that joins two of them stands at the beginning of the second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.embedded.words import quotations

MOST = 8  # pieces; the last one holds the rest

WORDS = r"and|but|then|plus|or|also|versus|vs\.?|against|behind|ahead of|than|compared (?:to|with)|as well as"
JOINTS = re.compile(
    r"(?<=[.?!;])\s+(?=\S)"
    rf"|,?\s+(?!and a (?:half|quarter)\b)(?=(?:{WORDS})\s)"
    r"|(?<=[,:])\s+(?=\S)"
    r"|\s(?=[–—-]\s)|\n+",
    re.I,
)
NUMBER_BEFORE = re.compile(r"\d[\])%]?,?$")
NUMBER_AFTER = re.compile(r"\s*(?:(?:and|or|to)\s+)?[-−+]?[$€£¥[(]?\d")
NAME_BEFORE = re.compile(r"\b[A-ZÀ-Þ][\w.'’-]*,$")
NAME_AFTER = re.compile(r"[A-ZÀ-Þ][\w.'’-]*\w(?: [A-ZÀ-Þ][\w.'’-]*\w)*")
ENUMERATION = re.compile(r",? (?:and|or)\b|, [A-ZÀ-Þ]|,$")  # what follows goes on with a list
ENUMERATED = re.compile(
    r"\b[A-ZÀ-Þ][\w.'’-]*, [A-ZÀ-Þ][\w.'’-]*(?: [A-ZÀ-Þ][\w.'’-]*)*,$"
)  # what came before was one
ABBREVIATION = re.compile(
    r"(?:\b(?:St|Mt|Ft|Dr|Mr|Mrs|Ms|Inc|Corp|Co|Ltd|vs|approx|No)|\b[A-Za-z](?:\.[A-Za-z])*)\.$", re.I
)
OPENING = re.compile(
    rf"^[\s,;:–—-]*(?:(?:{WORDS})\s+)*",
    re.I,
)


def pieces(text: str) -> list[str]:
    """The pieces, in order.

    Whole stay: numbers (1,000), abbreviations (St. Louis, U.S.), quotations, and places with their state
    (Paris, Texas).
    """
    cuts, quoted = [0], quotations(text)
    for joint in JOINTS.finditer(text):
        before = text[: joint.start()]
        if any(start < joint.start() < end for start, end in quoted):
            continue
        if not text[cuts[-1] : joint.end()].strip(" ,;:.–—-"):
            continue
        if ABBREVIATION.search(before) and not begins_item(text[joint.end() :]):
            continue
        if NUMBER_BEFORE.search(text[: joint.start()].rstrip()) and NUMBER_AFTER.match(text, joint.end()):
            continue
        if before.count("[") > before.count("]") or before.count("(") > before.count(")"):
            continue
        if _is_place_and_state(text, joint):
            continue
        if len(cuts) == MOST:
            break
        cuts.append(joint.end())
    parts = [text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    return [part for part in parts if part.strip()]


def _is_place_and_state(text: str, joint: re.Match[str]) -> bool:
    """Whether a comma stands between two names that are no enumeration of three or more."""
    return bool(
        NAME_BEFORE.search(text[: joint.start()])
        and (following := NAME_AFTER.match(text, joint.end()))
        and not ENUMERATION.match(text, following.end())
        and not ENUMERATED.search(text[: joint.start()])
    )


def is_item(parts: Sequence[str], i: int) -> bool:
    """Whether a piece may be one more item of an enumeration: `Nairobi` of "Cairo, Nairobi or Rome".

    After a comma alone only if an "and" or "or" follows, or between names (pieces() has left those together
    that are a place and its state).
    """
    names = i > 0 and NAME_BEFORE.search(parts[i - 1].rstrip()) and NAME_AFTER.match(parts[i])
    return i > 0 and (bool(names) or any(begins_item(part) for part in parts[i:]))


def begins_item(part: str) -> bool:
    """Whether a piece begins with a word that joins it to the one before."""
    joint = OPENING.match(part)
    return joint is not None and joint.group().strip(" ,;:–—-\n") != ""


def joint_of(parts: Sequence[str], i: int) -> str:
    """What stands between piece i and the one before: "and", "versus", "comma" or "stop"."""
    if begins_item(parts[i]):
        return "and" if re.match(r"\W*(?:and|but|then|plus|also|as well as)\b", parts[i], re.I) else "versus"
    if parts[i - 1].rstrip()[-1:] != ",":
        return "stop"
    return (
        "and" if i + 1 < len(parts) and joint_of(parts, i + 1) == "and" else "comma"
    )  # the weather, the time, and ...

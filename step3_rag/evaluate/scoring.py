"""Right or not: an answer held against reference answers, word by word."""

from __future__ import annotations

import re
from collections import Counter


def words(text: str) -> list[str]:
    """Words and numbers in lower case, without articles, as SQuAD's evaluation has them."""
    found = re.findall(r"\w+(?:[.,]\d+)*", text.lower())
    return [word for word in found if word not in ("a", "an", "the")]


def holds(answer: str, reference: str) -> bool:
    """Whether an answer holds a reference word by word; the parts of "x and y" may stand apart.

    >>> holds("Notice is 60 days, and liability ends at EUR 40,000.", "60 days and EUR 40,000")
    True
    """
    text = f" {' '.join(words(answer))} "
    parts = [reference, *([] if " and " not in reference else reference.split(" and "))]
    whole, *pieces = (f" {' '.join(words(part))} " for part in parts)
    return whole in text or (bool(pieces) and all(piece in text for piece in pieces))


def f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall of the words."""
    ours, theirs = Counter(words(answer)), Counter(words(reference))
    common = (ours & theirs).total()
    return 2 * common / (ours.total() + theirs.total()) if common else 0.0

"""Mends words that are nearly words of the tools' descriptions: "wether tomorow" -> "weather tomorrow".

    >>> mend("waht is teh wether tomorow", {"weather", "tomorrow"}, is_word)
    'waht is teh weather tomorrow'

Only those words matter to the choice of a tool and of an option. A word of the language stays as it is, and
the tokenizer knows those: a common word is one token, a misspelt one comes in pieces. Names are never mended:
arguments are taken from the text as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from shared.embedded.words import FUNCTION_WORDS

SHORTEST = 4  # letters; shorter words are too near to each other


def mend(text: str, vocabulary: Iterable[str], is_word: Callable[[str], bool]) -> str:
    """The text with such words replaced, everything else letter by letter as it was."""
    known = {word.lower() for word in vocabulary if len(word) >= SHORTEST} - FUNCTION_WORDS

    def better(found: re.Match[str]) -> str:
        word = found.group().lower()
        if len(word) < SHORTEST or word in known or is_word(word):
            return found.group()
        allowed = 1 if len(word) < 7 else 2
        likely = [each for each in known if abs(len(word) - len(each)) <= allowed and each[0] == word[0]]
        near = [(distance(word, each), sorted(word) != sorted(each), each) for each in likely]
        best = min(near, default=(allowed + 1, True, ""))
        return best[-1] if best[0] <= allowed else found.group()

    return re.sub(r"[^\W\d_]+", better, text)


def distance(a: str, b: str) -> int:
    """How many letters to add, drop, change or swap with a neighbour (Damerau 1964, each place once)."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]

"""A question as the model is to read it: misspelt words mended, names in capitals, cut into pieces.

    >>> [piece.read for piece in read(lm, "wether in new york, and in oslo", tools)]
    ['weather in New York, ', 'and in Oslo']

Each piece keeps three spellings: arguments are taken from what was typed, letter by letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.embedded.clauses import pieces
from shared.embedded.likelihood import Likelihood, Prefix
from shared.embedded.spelling import mend
from shared.embedded.standards import asks_currency
from shared.embedded.truecase import has_names, truecase
from shared.embedded.words import about, as_words, plain_words

# Misspelt ones are mended where a tool asks for a currency.
CURRENCY_WORDS = """
dollar dollars euro euros pound pounds sterling rupee rupees franc francs crown crowns krona kronor krone
kroner peso pesos rouble roubles shekel shekels zloty forint dirham riyal rand yuan lira swiss canadian
australian american british japanese chinese indian mexican brazilian argentine swedish norwegian
danish turkish singapore korean
"""


@dataclass(frozen=True)
class Said:
    """A text in three spellings: as the model reads it (names in capitals), mended, and as it was typed."""

    read: str
    mended: str
    original: str

    def __add__(self, other: Said) -> Said:
        return Said(self.read + other.read, self.mended + other.mended, self.original + other.original)


def joined(parts: Sequence[Said]) -> Said:
    """The pieces as one text."""
    return sum(parts, Said("", "", ""))


def read(lm: Likelihood, plain: Prefix, question: str, tools: Sequence[dict[str, Any]]) -> list[Said]:
    """The pieces of the question; `plain` is a prefix after which any text may come."""
    vocabulary = _vocabulary(tools)
    mended = pieces(mend(question, vocabulary, lambda word: len(lm.encode(f" {word}")) == 1))
    names = question if has_names(question) else truecase(lm, plain, question, vocabulary)
    cased, original = pieces(names), pieces(question)
    if not len(cased) == len(mended) == len(original):  # mending has made or unmade a joint
        cased = mended = original
    return [Said(*each) for each in zip(cased, mended, original, strict=True)]


def _vocabulary(tools: Sequence[dict[str, Any]]) -> set[str]:
    """The words of the tools' names and descriptions, and of their options; currencies where one is asked."""
    found: set[str] = set()
    for tool in tools:
        found.update(plain_words(about(tool)))
        for name, field in tool["input_schema"].get("properties", {}).items():
            description, options = field.get("description") or "", " ".join(map(str, field.get("enum") or []))
            found.update(plain_words(f"{as_words(name)} {description} {options}"))
            found.update(CURRENCY_WORDS.split() if asks_currency(description) else ())
    return found

"""Gives names their capitals back where a question has none: "in new york" -> "in New York".

    >>> truecase(lm, prefix, "compare boeing and walmart stock")
    'compare Boeing and Walmart stock'

People type without capitals; the model has read far more of "New York" than of "new york", and finds the one
where it overlooks the other. So it is asked which is more probable here, for every word and every two
(Lita et al. 2003, "tRuEcasIng"). No letter is added or taken away, only case changes.
"""

from __future__ import annotations

from collections.abc import Collection

from shared.embedded.likelihood import Likelihood, Node, Prefix
from shared.embedded.words import FUNCTION_WORDS, word_spans

MOST = 100  # words that are looked at
BY = -0.5  # nats that capitals must be more probable by


def has_names(text: str) -> bool:
    """Whether there is a capital other than that of a sentence's beginning or of "I"."""
    words = [text[start:end] for start, end in word_spans(text)]
    return any(any(map(str.isupper, word)) for word in words[1:] if word != "I" and not word.startswith("I'"))


def truecase(lm: Likelihood, prefix: Prefix, text: str, common: Collection[str] = ()) -> str:
    """The text with capitals at the words that want them; those in `common` are no names."""
    spans = word_spans(text)[:MOST]
    if not spans:
        return text
    chain: list[Node] = []
    for start, end in spans:
        chain.append(Node(lm.encode(" " + text[start:end]), chain[-1] if chain else None))
    nodes, wanted, places = list(chain), [node.path() for node in chain], []
    for n in (1, 2, 3):
        for i in range(len(spans) - n + 1):
            words = [text[start:end] for start, end in spans[i : i + n]]
            if any(word in FUNCTION_WORDS or word in common or not word[0].isalpha() for word in words):
                continue
            ids = [token for word in words for token in lm.encode(" " + word[0].upper() + word[1:])]
            nodes.append(Node(ids, chain[i - 1] if i else None))
            wanted.append(nodes[-1].path())
            places.append((i, n))
    found = [sum(each) for each in prefix.logprobs(nodes, wanted)]
    lower, capital = found[: len(chain)], found[len(chain) :]
    letters = list(text)
    for (i, n), score in zip(places, capital, strict=True):
        if score > sum(lower[i : i + n]) + BY:
            for start, _ in spans[i : i + n]:
                letters[start] = letters[start].upper()
    return "".join(letters)

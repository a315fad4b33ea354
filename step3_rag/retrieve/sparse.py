"""Keyword search: BM25 over stems, without stop words.

BM25 (Robertson and Zaragoza 2009) adds up, for each word of the query that a text has, how rare the word is
in the collection (idf); further occurrences add less, and longer texts get less. It finds codes and names
that an embedding blurs; it misses every paraphrase. The library is bm25s, which computes all scores when the
index is made, so that a query only adds columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Sparse:
    """A BM25 index over texts given as stems."""

    def __init__(self, texts: Sequence[Sequence[str]], k1: float = 1.2, b: float = 0.75) -> None:
        import bm25s

        self.n = len(texts)
        self._index = bm25s.BM25(k1=k1, b=b) if any(texts) else None
        if self._index:
            self._index.index([list(text) for text in texts], show_progress=False)

    def knows(self, stem: str) -> bool:
        """Whether any text has the stem."""
        return self._index is not None and stem in self._index.vocab_dict

    def scores(self, query: Sequence[str]) -> np.ndarray:
        """The score of every text, shape (n,); 0 for a text without any word of the query."""
        known = [stem for stem in query if self.knows(stem)]
        if not known or self._index is None:
            return np.zeros(self.n, np.float32)
        found: np.ndarray = self._index.get_scores(known)
        return found

"""What a search needs to know of all chunks at once."""

from collections import Counter
from functools import cached_property

import bm25s
import numpy as np

from step3_rag.ingest.index import Index
from step3_rag.ingest.stems import WORD


class Snapshot:
    """The ids, documents and statistics of all chunks.

    Rows are in the order of `ids`; BM25 and token frequencies are computed when first used.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        # One statement, so that rows and generation belong together; without chunks, one row has only that.
        selected = index.rows(
            "SELECT value, c.id, d.name, d.collection, d.superseded FROM meta LEFT JOIN "
            "(chunks c JOIN documents d ON d.id = c.document) WHERE key = 'generation' ORDER BY c.id"
        )
        self.generation = int(selected[0][0])
        rows = [row[1:] for row in selected if row[1] is not None]
        self.ids = np.array([row[0] for row in rows], np.int64)
        self.names: list[str] = [row[1] for row in rows]
        self.collections = np.array([row[2] for row in rows], dtype=object)
        self.superseded = frozenset(row[0] for row in rows if row[3])  # the chunks of such documents
        self.row_of = {int(chunk): row for row, chunk in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def bm25(self) -> bm25s.BM25 | None:
        """The keyword index over the chunks' stems; None if there are none.

        All scores are computed here, so that a query only adds columns.
        """
        texts = [row.split() for row in self._column("stems")]
        if not any(texts):
            return None
        index = bm25s.BM25(k1=1.2, b=0.75)
        index.index(texts, show_progress=False)
        return index

    def knows(self, stem: str) -> bool:
        """Whether any chunk has the stem."""
        return self.bm25 is not None and stem in self.bm25.vocab_dict

    def keyword_scores(self, query: list[str]) -> np.ndarray:
        """The BM25 score of every chunk for a query's stems, shape (n,); 0 for a chunk with none of them.

        BM25 adds up, for each word of the query that a text has, how rare the word is in the collection
        (idf); further occurrences add less, and longer texts get less (Robertson and Zaragoza 2009). It finds
        codes and names that an embedding blurs; it misses every paraphrase.
        """
        return self.bm25.get_scores(query) if self.bm25 and query else np.zeros(len(self))

    @cached_property
    def token_frequency(self) -> np.ndarray:
        """The number of chunks with each token of the embedder's vocabulary, by its id; the last is 0."""
        rows = self.index.rows("SELECT chunk, ids FROM tokens")
        token_ids = [np.unique(np.frombuffer(blob, np.int32)) for chunk, blob in rows if chunk in self.row_of]
        return np.append(np.bincount(np.concatenate([*token_ids, np.empty(0, np.int32)])), 0)

    @cached_property
    def vocabulary(self) -> Counter[str]:
        """Every word of the chunks in lower case, with the number of chunks that have it."""
        words: Counter[str] = Counter()
        for text in self._column("text"):
            words.update(set(WORD.findall(text.lower())))
        return words

    def _column(self, name: str) -> list[str]:
        """A column of the chunks, in the order of `ids`; "" for a chunk that was deleted since."""
        known = dict(self.index.rows(f"SELECT id, {name} FROM chunks"))
        return [known.get(chunk, "") for chunk in self.row_of]

"""A second, closer look at the best candidates: late interaction, a cross-encoder, or query likelihood.

    >>> late_interaction(query, documents, idf)      # cosines of tokens, ColBERT's MaxSim
    array([0.81, 0.42], dtype=float32)

One vector for a whole chunk blurs its words. *Late interaction* keeps a vector for each token: each word of
the query looks for its best match among the words of the chunk, and the chunk's score is the sum of these
(Khattab and Zaharia 2020, arXiv:2004.12832). MiniLM was not trained for it, and yet its token vectors do well
when rare words of the query count more (idf weights). The vectors of the chunks are computed at ingest, so a
query costs a few matrix products.

A *cross-encoder* reads query and chunk together, which is stronger and needs a model made for it (none comes
from PyPI: name one of the hub). *Query likelihood* asks a language model how probable the query is after the
chunk (Ponte and Croft 1998); with SmolLM2-135M it makes things worse and costs seconds: kept here, measured,
so that you need not try.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from shared.config import Settings
    from step3_rag.embed import Encoded


def idf(document_frequency: np.ndarray, n: int) -> np.ndarray:
    """How rare each token is among n chunks, as in BM25: log(1 + (n - df + 0.5) / (df + 0.5)), >= 0."""
    weights: np.ndarray = np.log1p((n - document_frequency + 0.5) / (document_frequency + 0.5))
    return weights.astype(np.float32)


def late_interaction(query: Encoded, documents: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """MaxSim of a query with each document: its tokens' highest cosines, their weighted mean.

    Args:
        documents: the token vectors of each, shape (tokens, dim), length 1.
        weights: one for each token of the query, shape (n,), e.g. their idf.

    Returns:
        Scores, shape (documents,), -1 to 1; 0 for a document or a query without tokens.
    """
    scores = np.zeros(len(documents), np.float32)
    if not len(query.token_ids) or not weights.sum():
        return scores
    of_query = query.token_vectors.astype(np.float32)  # (n, dim)
    held = [i for i, document in enumerate(documents) if len(document)]
    if not held:
        return scores
    # One product for all documents: (n, dim) @ (dim, all their tokens), then the maximum of each document.
    joined = np.concatenate([documents[i] for i in held]).astype(np.float32)
    cosines = of_query @ joined.T
    starts = np.cumsum([0, *(len(documents[i]) for i in held[:-1])])
    best = np.maximum.reduceat(cosines, starts, axis=1)  # (n, documents)
    scores[held] = weights @ best / weights.sum()
    return scores


def cross_encoder(name: str, settings: Settings) -> Any:
    """A sentence-transformers CrossEncoder by the name of the hub, or from a local folder.

    Raises:
        UserError: it can't be had.
    """
    from shared.errors import UserError, reason
    from shared.models import choose_device
    from shared.quiet import quiet_transformers

    quiet_transformers()
    from sentence_transformers import CrossEncoder

    try:
        return CrossEncoder(name, device=choose_device(settings.device), trust_remote_code=False)
    except Exception as error:  # the hub's, the file system's and transformers' own
        raise UserError(f"the cross-encoder {name} cannot be loaded: {reason(error)}") from None

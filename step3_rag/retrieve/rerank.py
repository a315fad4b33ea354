"""A second, closer look at the best candidates: late interaction, or a cross-encoder.

    >>> late_interaction(query, documents, idf)      # cosines of tokens, ColBERT's MaxSim
    array([0.81, 0.42], dtype=float32)

One vector for a whole chunk blurs its words. *Late interaction* keeps a vector for each token: each token of
the query takes its best match among the tokens of the chunk, and the chunk's score is the sum of these
(Khattab and Zaharia 2020, arXiv:2004.12832). MiniLM was not trained for it, but its token vectors do well
when rare words of the query count more (idf weights). The chunks' vectors are computed at ingest, so a query
only costs a few matrix products.

A *cross-encoder* reads query and chunk together, which is stronger and needs a model trained for it (none
comes from PyPI: name one on the hub).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shared.config import Settings
from shared.errors import UserError, reason
from shared.models.device import choose_device
from shared.models.quiet import quiet_transformers
from step3_rag.ingest.embed import Encoded

Scorer = Callable[[str, list[str]], Sequence[float]]  # query, texts -> scores


def idf(document_frequency: np.ndarray, n: int) -> np.ndarray:
    """How rare each token is among n chunks, as in BM25: log(1 + (n - df + 0.5) / (df + 0.5)), >= 0."""
    return np.log1p((n - document_frequency + 0.5) / (document_frequency + 0.5)).astype(np.float32)


def late_interaction(query: Encoded, documents: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """MaxSim of a query with each document: its tokens' highest cosines, their weighted mean.

    Each token of the query takes its highest cosine with the tokens of the document, which may be negative.
    The score is the sum of these, each times its weight, divided by the sum of the weights.

    Args:
        query: its `token_vectors` have shape (n, dim) and length 1, so that products are cosines. All
            vectors are kept as float16; the arithmetic is to be float32.
        documents: the token vectors of each, shape (tokens, dim), length 1; some may have no tokens.
        weights: one for each token of the query, shape (n,), e.g. their idf; none is negative.

    Returns:
        Scores, shape (documents,), float32, -1 to 1; 0 for a document without tokens, and 0 for all where the
        query has no tokens or no weight.
    """
    ### BEGIN SOLUTION 3.4: MaxSim
    scores = np.zeros(len(documents), np.float32)
    if not len(query.token_ids) or not weights.sum():
        return scores
    of_query = query.token_vectors.astype(np.float32)  # (n, dim)
    with_tokens = [i for i, document in enumerate(documents) if len(document)]
    if not with_tokens:
        return scores
    # One product for all documents: (n, dim) @ (dim, all their tokens), then the maximum of each document.
    joined = np.concatenate([documents[i] for i in with_tokens]).astype(np.float32)
    cosines = of_query @ joined.T
    starts = np.cumsum([0, *(len(documents[i]) for i in with_tokens[:-1])])
    best = np.maximum.reduceat(cosines, starts, axis=1)  # (n, documents)
    scores[with_tokens] = weights @ best / weights.sum()
    return scores
    ### END SOLUTION


def cross_encoder_scorer(name: str, settings: Settings) -> Scorer:
    """The scores of a sentence-transformers CrossEncoder, by its name on the hub or from a local folder.

    Raises:
        UserError: it can't be loaded.
    """
    quiet_transformers()
    from sentence_transformers import CrossEncoder

    try:
        model: Any = CrossEncoder(name, device=choose_device(settings.device), trust_remote_code=False)
    except Exception as error:  # errors of the hub, the file system and transformers
        raise UserError(f"the cross-encoder {name} cannot be loaded: {reason(error)}") from None

    return lambda query, texts: model.predict(
        [(query, text) for text in texts], show_progress_bar=False
    ).tolist()

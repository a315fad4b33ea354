"""Fuse rankings: by ranks (RRF, the baseline) or by scores (min-max, the default).

    >>> rrf([{"a": 9.1, "b": 3.0}, {"b": 0.8, "c": 0.7}])
    {'a': 0.0163..., 'b': 0.0325..., 'c': 0.0161...}
    >>> min_max([{"a": 9.0, "b": 3.0}, {"b": 0.8, "c": 0.6}], weights=[0.5, 0.5])
    {'a': 0.5, 'b': 0.5, 'c': 0.0}

BM25 scores (0 to about 30) and cosines (0.1 to 0.8) can't be added as they are. Reciprocal rank fusion
throws the scores away and keeps the ranks (Cormack, Clarke and Büttcher 2009; k=60 is theirs). Min-max
scaling keeps how far apart the candidates are: a first place far ahead of the second counts for more (Bruch,
Gai and Ingber 2023, arXiv:2210.11934).
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Id = TypeVar("Id", bound=Hashable)


def ranked(scores: Mapping[Id, float]) -> list[Id]:
    """The candidates, best first; equal scores in the order of the mapping."""
    return sorted(scores, key=lambda candidate: -scores[candidate])


def rrf(rankings: Sequence[Mapping[Id, float]], k: int = 60) -> dict[Id, float]:
    """Reciprocal rank fusion: each ranking gives 1 / (k + rank) to each candidate that it holds.

    Ranks count from 1, the highest score first, equal scores in the order of the mapping (as `ranked` has
    them). A candidate gets nothing from a ranking that doesn't hold it.

    Returns:
        A plain dict: the sum of each candidate that any of the rankings holds; {} where there is none.
    """
    ### BEGIN SOLUTION 3.1: Fusion by ranks
    fused: dict[Id, float] = {}
    for scores in rankings:
        for rank, candidate in enumerate(ranked(scores), 1):
            fused[candidate] = fused.get(candidate, 0.0) + 1 / (k + rank)
    return fused
    ### END SOLUTION


def min_max(rankings: Sequence[Mapping[Id, float]], weights: Sequence[float]) -> dict[Id, float]:
    """Weighted sum of scores, each ranking scaled to 0..1 by itself before it gets its weight.

    A candidate gets 0 from a ranking that doesn't hold it.

    Returns:
        A plain dict with each candidate that any of the rankings holds, also those whose sum is 0.

    Raises:
        ValueError: there is not one weight for each ranking.
    """
    ### BEGIN SOLUTION 3.3: Fusion by scores
    fused: dict[Id, float] = {}
    for scores, weight in zip(rankings, weights, strict=True):
        for candidate, score in scaled(scores).items():
            fused[candidate] = fused.get(candidate, 0.0) + weight * score
    return fused
    ### END SOLUTION


def scaled(scores: Mapping[Id, float]) -> dict[Id, float]:
    """Scores with the highest at 1.0, the lowest at 0.0 and the others between, as far apart as they were.

    All are 1.0 when they are the same, and so is a single one; no scores give {}. They may be negative.
    """
    ### BEGIN SOLUTION 3.3: Fusion by scores
    if not scores:
        return {}
    low = min(scores.values())
    high = max(scores.values())
    scaled_scores = {}
    for candidate, score in scores.items():
        scaled_scores[candidate] = (score - low) / (high - low) if high > low else 1.0
    return scaled_scores
    ### END SOLUTION

"""The usual measures of a ranking, each for one query; reports show their means.

    >>> ndcg(["d3", "d1", "d7"], {"d1": 1, "d2": 1}, k=10)
    0.386...

A ranking is a list of document ids, best first; `qrels` maps the ids of relevant documents to their grade.
A grade of 0 or less is not relevant. The tests check them against trec_eval, the program of TREC.
"""

import math
from collections.abc import Mapping, Sequence


def ndcg(ranking: Sequence[str], qrels: Mapping[str, int], k: int = 10) -> float:
    """Discounted gain of the first k, as a share of the best that was possible (Järvelin, Kekäläinen 2002).

    A relevant document at rank r, from 1, is worth grade / log2(r + 1): 1 at the top, 0.63 next, 0.29 at
    rank 10. What is not in `qrels`, or has a grade of 0 or less, is worth nothing. The best that was
    possible: the k highest grades of `qrels` in falling order, whether or not the ranking holds them.

    Args:
        ranking: names each document once; may be shorter than k, or empty.

    Returns:
        A Python float, 0 to 1; 0.0 where nothing is relevant.
    """
    ### BEGIN SOLUTION 3.2: nDCG
    gain = sum(max(0, qrels.get(doc, 0)) / math.log2(rank + 1) for rank, doc in enumerate(ranking[:k], 1))
    best = sorted((grade for grade in qrels.values() if grade > 0), reverse=True)[:k]
    ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, 1))
    return gain / ideal if ideal else 0.0
    ### END SOLUTION


def recall(ranking: Sequence[str], qrels: Mapping[str, int], k: int) -> float:
    """Share of the relevant documents that are among the first k."""
    relevant = {doc for doc, grade in qrels.items() if grade > 0}
    return len(relevant & set(ranking[:k])) / len(relevant) if relevant else 0.0


def mrr(ranking: Sequence[str], qrels: Mapping[str, int], k: int = 10) -> float:
    """1 / the rank of the first relevant document; 0 if none is among the first k."""
    return next((1 / rank for rank, doc in enumerate(ranking[:k], 1) if qrels.get(doc, 0) > 0), 0.0)


MEASURES = {
    "nDCG@10": lambda ranking, qrels: ndcg(ranking, qrels, 10),
    "Recall@10": lambda ranking, qrels: recall(ranking, qrels, 10),
    "Recall@100": lambda ranking, qrels: recall(ranking, qrels, 100),
    "MRR@10": lambda ranking, qrels: mrr(ranking, qrels, 10),
    "hit@5": lambda ranking, qrels: float(mrr(ranking, qrels, 5) > 0),
}


def auroc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """P(a true one scores higher than a false one), ties count half; None if all labels are equal."""
    from sklearn.metrics import roc_auc_score

    if len(set(labels)) < 2:
        return None
    return round(float(roc_auc_score(labels, scores)), 3)

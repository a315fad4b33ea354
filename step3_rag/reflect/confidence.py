"""Did the search find it? A probability from how the rankings look, learnt from questions with judgements.

    >>> confidence(retriever.search("When does the Brightwell contract renew?"))
    0.93

The cosine of the first hit alone says little: it depends on the collection and on the length of the question.
What tells more is the shape: a search that found the passage has a first place that stands out, and
rankings made in different ways agree. Each signal is a number between 0 and about 1; documents, not chunks,
are ranked, because neighbouring chunks of one document resemble each other. A logistic regression weighs
the signals; its weights are in confidence.json, and `python -m step3_rag calibrate` fits them anew.

What it predicts: one of the first five documents is relevant. So a question that the collection can't
answer should come out low. It is a probability on collections like those it was fitted on, and no more than
a score on others; the reliability plot shows the difference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from shared.errors import UserError, reason
from step3_rag.retrieve.fuse import ranked
from step3_rag.retrieve.search import Found

WEIGHTS = Path(__file__).with_name("confidence.json")
FEW = 8  # documents: among fewer, a fifth place says nothing
NEEDED = ("bm25", "dense", "maxsim", "rerank")  # the stages that the signals are read from


def signals(found: Found) -> dict[str, float] | None:
    """What the rankings show; None where a stage was left out that is needed.

    overlap        share of documents that BM25 and dense have in common, mean over the first 1 to 10
    bm25_margin    how far the first document is ahead of the fifth, as a share of the first
    cosine_margin  the same for dense, in cosine
    maxsim_margin  the same for late interaction
    lead           how far the first of the final ranking is ahead of the second
    rare_match     how well the first passage matches the question's three rarest tokens
    """
    if not set(NEEDED) <= found.stages.keys():
        return None
    rankings = [_ranked(found, stage) for stage in NEEDED]
    bm25, dense, maxsim, last = (list(each.values()) for each in rankings)
    by_bm25, by_dense = (list(each) for each in rankings[:2])
    overlaps = [len({*by_bm25[:depth]} & {*by_dense[:depth]}) / depth for depth in range(1, 11)]
    return {
        "overlap": sum(overlaps) / len(overlaps),
        "bm25_margin": _margin(bm25, 5) / bm25[0] if bm25 else 0.0,
        "cosine_margin": _margin(dense, 5),
        "maxsim_margin": _margin(maxsim, 5),
        "lead": _margin(last, 2),
        "rare_match": found.rare_match or 0.0,
    }


def _ranked(found: Found, stage: str) -> dict[str, float]:
    """Documents with their scores at a stage, best first; chunks, where there are but a few documents."""
    if len(set(found.documents.values())) >= FEW:
        return found.by_document(stage)
    scores = found.stages[stage]
    return {str(chunk): scores[chunk] for chunk in ranked(scores)}


def _margin(scores: Sequence[float], place: int) -> float:
    """How far the first is ahead of the one at that place, or of the last."""
    return scores[0] - scores[min(place, len(scores)) - 1] if scores else 0.0


@dataclass(frozen=True)
class Weights:
    """A logistic regression over standardised signals."""

    mean: dict[str, float]
    deviation: dict[str, float]
    weight: dict[str, float]
    bias: float

    def probability(self, given: Mapping[str, float]) -> float:
        """Between 0 and 1."""
        z = self.bias + sum(
            weight * (given[name] - self.mean[name]) / self.deviation[name]
            for name, weight in self.weight.items()
        )
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


def confidence(found: Found, weights: Weights | None = None) -> float | None:
    """How probable it is that the first five documents hold a relevant one; None where it can't be told."""
    given = signals(found)
    return None if given is None else (weights or load()).probability(given)


@cache
def load(path: Path = WEIGHTS) -> Weights:
    """The weights of a file.

    Raises:
        UserError: it can't be read.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return Weights(*(facts[name] for name in ("mean", "deviation", "weight", "bias")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot read the confidence weights {path}: {reason(error)}") from None


def save(weights: Weights, path: Path, **facts: object) -> None:
    """Write weights to a file, with facts about how they came to be.

    Raises:
        UserError: nothing can be written there.
    """
    try:
        path.write_text(json.dumps({**asdict(weights), **facts}, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def fit(
    collections: Sequence[tuple[Sequence[Mapping[str, float]], Sequence[bool]]], ridge: float = 0.05
) -> Weights:
    """Logistic regression, in two steps: what tells good from bad, then how probable good is.

    For the first, every collection counts the same, and within it the good and the bad searches: otherwise
    the weights would be those of the largest collection and of what is common. The second keeps that score
    and fits two numbers to the true shares (Platt 1999). `ridge` pulls the weights a little towards 0.

    Raises:
        UserError: all searches succeeded, or all failed.
    """
    names = list(collections[0][0][0])
    rows = np.array([[each[name] for name in names] for given, _ in collections for each in given])
    truth = np.array([label for _, labels in collections for label in labels], float)
    if truth.min() == truth.max():
        raise UserError("nothing to learn: the searches all succeeded, or all failed; add harder questions")
    even = np.concatenate([np.full(len(labels), 1 / len(labels)) for _, labels in collections])
    balanced = np.concatenate([_balanced(np.array(labels)) for _, labels in collections])
    mean, deviation = rows.mean(0), np.maximum(rows.std(0), 1e-9)
    data = (rows - mean) / deviation
    theta = _logistic(data, truth, balanced, ridge * len(collections))
    score = data @ theta[1:]
    shift, scale = _logistic(score[:, None], truth, even, 0.0)
    return Weights(
        dict(zip(names, mean.tolist(), strict=True)),
        dict(zip(names, deviation.tolist(), strict=True)),
        dict(zip(names, (scale * theta[1:]).tolist(), strict=True)),
        float(shift),
    )


def _balanced(labels: np.ndarray) -> np.ndarray:
    """Shares that give the good and the bad searches half of the weight each."""
    good = max(1, int(labels.sum()))
    return np.where(labels, 0.5 / good, 0.5 / max(1, len(labels) - good))


def _logistic(data: np.ndarray, truth: np.ndarray, share: np.ndarray, ridge: float) -> np.ndarray:
    """Bias and weights by Newton's method, shape (1 + columns,)."""
    data = np.column_stack([np.ones(len(data)), data])
    penalty = np.diag([1e-9, *[ridge + 1e-9] * (data.shape[1] - 1)])
    theta = np.zeros(data.shape[1])
    for _ in range(100):
        expected = 1 / (1 + np.exp(np.clip(-data @ theta, -30, 30)))
        gradient = data.T @ (share * (expected - truth)) + penalty @ theta
        curvature = (data * (share * expected * (1 - expected))[:, None]).T @ data + penalty
        step = np.linalg.solve(curvature, gradient)
        theta -= step
        if np.abs(step).max() < 1e-8:
            break
    return theta


def reliability(
    probabilities: Sequence[float], truth: Sequence[bool], bins: int = 5
) -> list[dict[str, float]]:
    """Said and seen, in bins of equal size by what was said: mean probability, share that was true, n."""
    order = np.argsort(probabilities, kind="stable")
    edges = np.linspace(0, len(order), min(bins, len(order)) + 1).astype(int)
    return [
        {
            "said": float(np.mean([probabilities[i] for i in order[low:high]])),
            "seen": float(np.mean([truth[i] for i in order[low:high]])),
            "n": int(high - low),
        }
        for low, high in pairwise(edges)
    ]

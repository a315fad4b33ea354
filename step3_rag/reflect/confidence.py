"""Do the passages answer the question? A probability, learnt from questions with judgements.

    >>> confidence(retriever.search("When does the Brightwell contract renew?"), retriever)
    0.93

Two kinds of evidence. The *shape of the rankings* costs nothing: a search that found the passage has a first
place that stands out, and rankings made in different ways agree. It can't tell a passage that answers from
one that shares the question's words. The *retrieval evaluator* can, more often than not: a small language
model that was trained to say whether a passage answers a question (shared/embedded/judge.py). It takes a
second or two, so it reads the passages only where the rankings leave a doubt.

A logistic regression weighs the signals; its weights are in confidence.json, and `python -m step3_rag
calibrate` fits them anew. What is predicted: one of the passages that the reader gets is relevant. It is a
probability on collections like those it was fitted on, and no more than a score on others.

Source: Corrective RAG, Yan et al. 2024, https://arxiv.org/abs/2401.15884
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from shared.errors import UserError
from step3_rag.reflect.rewrite import correct_spelling, parts_of
from step3_rag.retrieve.fuse import ranked
from step3_rag.retrieve.search import Found, Retriever

WEIGHTS = Path(__file__).with_name("confidence.json")
FEW = 8  # documents: among fewer, a fifth place says nothing
NEEDED = ("bm25", "dense", "maxsim", "rerank")  # the stages that the signals are read from
LOWEST = -5.0  # log-odds: the evaluator is never surer than that
SURE = 0.95  # where the rankings alone give as much, the evaluator is not asked


def signals(found: Found) -> dict[str, float]:
    """What the rankings of a whole search show; each signal is between 0 and about 1.

    overlap        share of documents that BM25 and dense have in common, mean over the first 1 to 10
    bm25_margin    how far the first document is ahead of the fifth, as a share of the first
    cosine_margin  the same for dense, in cosine
    maxsim_margin  the same for late interaction
    lead           how far the first of the final ranking is ahead of the second
    rare_match     how well the first passage matches the question's three rarest tokens
    """
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


def rankings_of(found: Found, retriever: Retriever) -> dict[str, float]:
    """The signals of a search with any options; stages that it left out are run for them."""
    if not set(NEEDED) <= found.stages.keys():
        found = retriever.search(found.query, replace(found.options, use=("bm25", "dense"), rerank="maxsim"))
    return signals(found)


def judgement_of(found: Found, retriever: Retriever) -> float:
    """What the evaluator says of the passages: the log-odds that the best of them answers the question.

    It is asked the parts of the question one by one and in right spelling, since a passage seldom answers all
    of them; the part that is answered best counts.
    """
    texts = [f"{each.source}\n{each.text}" for each in found.best]
    snapshot = retriever.snapshot
    query = correct_spelling(found.query, snapshot.vocabulary, snapshot.sparse.knows)
    asked = [retriever.evaluator(part, texts) for part in parts_of(query)] if retriever.evaluator else []
    return _logit(max((each for said in asked for each in said), default=0.0))


def _logit(probability: float) -> float:
    held = min(max(probability, 1e-6), 1 - 1e-6)
    return min(max(math.log(held / (1 - held)), LOWEST), -LOWEST)


def _ranked(found: Found, stage: str) -> dict[str, float]:
    """Documents with the score of their best chunk at a stage, best first; chunks, where they are few."""
    few, scores = len(set(found.documents.values())) < FEW, found.stages[stage]
    best: dict[str, float] = {}
    for chunk in ranked(scores):
        best.setdefault(str(chunk) if few else found.documents[chunk], scores[chunk])
    return best


def _margin(scores: Sequence[float], place: int) -> float:
    """How far the first is ahead of the one at that place, or of the last."""
    return scores[0] - scores[min(place, len(scores)) - 1] if scores else 0.0


@dataclass(frozen=True)
class Weights:
    """A logistic regression over signals."""

    weight: dict[str, float]
    bias: float

    def probability(self, given: Mapping[str, float]) -> float:
        """Between 0 and 1."""
        z = self.bias + sum(weight * given[name] for name, weight in self.weight.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


@dataclass(frozen=True)
class Fitted:
    """Weights of the rankings' signals; and of what they say, in log-odds, with the evaluator's judgement."""

    rankings: Weights
    judged: Weights


def confidence(found: Found, retriever: Retriever, *, ask_evaluator: bool = True) -> float:
    """How probable it is that one of the passages found is relevant, 0 to 1."""
    fitted = load()
    said = fitted.rankings.probability(rankings_of(found, retriever))
    if said >= SURE or retriever.evaluator is None or not ask_evaluator:
        return said
    return fitted.judged.probability(evidence(said, judgement_of(found, retriever)))


def evidence(rankings: float, judge: float) -> dict[str, float]:
    """The signals of `Fitted.judged`: a probability by the rankings, and the evaluator's log-odds."""
    return {"rankings": _logit(rankings), "judge": judge}


@cache
def load(path: Path = WEIGHTS) -> Fitted:
    """The weights of a file that `save` wrote."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Fitted(Weights(**facts["rankings"]), Weights(**facts["judged"]))


def save(fitted: Fitted, path: Path, **facts: object) -> None:
    """Write weights to a file, with facts about how they came to be.

    Raises:
        UserError: nothing can be written there.
    """
    try:
        path.write_text(json.dumps({**asdict(fitted), **facts}, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None

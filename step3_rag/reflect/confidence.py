"""Do the passages answer the question? A probability, learned from judged questions.

    >>> confidence(retriever.search("When does the Brightwell contract renew?"), retriever)
    0.93

There are two kinds of evidence. The *shape of the rankings* costs nothing: if the search found the passage,
the first place stands out, and the rankings of different methods agree. But it can't distinguish a passage
that answers from one that shares the question's words. The *judge* can, more often than not: a small language
model trained to say whether a passage answers a question (shared/embedded/judge.py). It takes a second or
two, so it only reads the passages if the rankings leave a doubt.

A logistic regression weighs the signals; its weights are in confidence.json, and `python -m step3_rag
calibrate` fits them again. It predicts whether one of the passages for the reader is relevant. The result is
a probability on collections like those it was fitted on, and only a score on others.

Source: Corrective RAG, Yan et al. 2024, https://arxiv.org/abs/2401.15884
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from step3_rag.reflect.rewrite import correct_spelling, parts_of
from step3_rag.retrieve.fuse import ranked
from step3_rag.retrieve.search import Retriever, SearchResult

WEIGHTS = Path(__file__).with_name("confidence.json")
FEW = 8  # documents: with fewer, chunks are compared, since a fifth place among documents says nothing
NEEDED = ("bm25", "dense", "maxsim", "rerank")  # the stages that the signals are read from
MOST = 5.0  # limit of log-odds, in both directions
SURE = 0.95  # if the rankings alone give as much, the judge is not asked


def signals(found: SearchResult) -> dict[str, float]:
    """The signals of the rankings of a complete search, each between 0 and about 1.

    overlap        share of documents common to BM25 and dense, mean over the first 1 to 10
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


def ranking_signals(found: SearchResult, retriever: Retriever) -> dict[str, float]:
    """The signals of a search with any options; one that found something without all stages is run again."""
    if found.order and not set(NEEDED) <= found.stages.keys():
        found = retriever.search(found.query, replace(found.options, use=("bm25", "dense"), rerank="maxsim"))
    return signals(found)


def judge_log_odds(found: SearchResult, retriever: Retriever) -> float:
    """The judge's log-odds that the best passage answers the question.

    The spelling is corrected first, and the parts of the question are judged one by one, since a passage
    seldom answers all of them; the best-answered part counts.
    """
    texts = [f"{each.source}\n{each.text}" for each in found.best]
    query = correct_spelling(found.query, retriever.snapshot)
    judged = [retriever.judge(part, texts) for part in parts_of(query)] if retriever.judge else []
    return _logit(max((each for probabilities in judged for each in probabilities), default=0.0))


def _logit(probability: float) -> float:
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return min(max(math.log(inside / (1 - inside)), -MOST), MOST)


def _ranked(found: SearchResult, stage: str) -> dict[str, float]:
    """Documents with the score of their best chunk at a stage, best first; if there are FEW, chunks."""
    few, scores = len(set(found.documents.values())) < FEW, found.stages.get(stage, {})
    best: dict[str, float] = {}
    for chunk in ranked(scores):
        best.setdefault(str(chunk) if few else found.documents[chunk], scores[chunk])
    return best


def _margin(scores: Sequence[float], place: int) -> float:
    """How far the first score is ahead of the one at a place (from 1), or of the last."""
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
    """Weights of the rankings' signals, and of their result together with the judge's judgement."""

    rankings: Weights
    judged: Weights


def confidence(found: SearchResult, retriever: Retriever, *, ask_judge: bool = True) -> float:
    """The probability that one of the passages found is relevant."""
    fitted = load()
    by_rankings = fitted.rankings.probability(ranking_signals(found, retriever))
    if by_rankings >= SURE or retriever.judge is None or not ask_judge:
        return by_rankings
    return fitted.judged.probability(evidence(by_rankings, judge_log_odds(found, retriever)))


def evidence(rankings: float, judge: float) -> dict[str, float]:
    """The signals for `Fitted.judged`, from a probability by the rankings and the judge's log-odds."""
    return {"rankings": _logit(rankings), "judge": judge}


@cache
def load(path: Path = WEIGHTS) -> Fitted:
    """The weights of a file that `save` wrote."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Fitted(Weights(**facts["rankings"]), Weights(**facts["judged"]))


def save(fitted: Fitted, path: Path, **facts: object) -> None:
    """Write weights to a file, with facts about how they were fitted."""
    path.write_text(json.dumps({**asdict(fitted), **facts}, indent=1) + "\n", encoding="utf-8")

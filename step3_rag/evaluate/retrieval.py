"""Retrieval measured by itself: what each stage adds, what it costs, and which stage lost the right document.

    $ python -m step3_rag evaluate --dataset sample --split dev

Each question is searched once; the rankings of all stages come from that one search, so the differences are
those of the stages alone. Rankings are of documents, each at the place of its best chunk. Questions without
relevant documents can't be ranked rightly: they are left to the judgement of confidence (calibrate.py).
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from shared.errors import UserError
from shared.stats import bootstrap
from step3_rag.evaluate.dataset import Question
from step3_rag.evaluate.metrics import MEASURES
from step3_rag.reflect.reflect import reflect
from step3_rag.retrieve.fuse import ranked, rrf
from step3_rag.retrieve.search import Found, Options, Retriever

T = TypeVar("T")
MAIN = "nDCG@10"
# Each stage and the one that it is compared with.
STAGES = {
    "bm25": None,
    "dense": None,
    "rrf": "bm25",
    "fusion": "rrf",
    "rerank": "fusion",
    "reflect": "rerank",
}


@dataclass
class Outcome:
    """One question with what every stage made of it."""

    question: Question
    rankings: dict[str, list[str]]  # documents, by stage
    measures: dict[str, dict[str, float]]  # by stage, then by measure; empty when nothing is relevant
    seconds: dict[str, float]
    confidence: float


def ask(
    retriever: Retriever,
    questions: Sequence[Question],
    options: Options,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    strategies: Sequence[str] = (),
) -> list[Outcome]:
    """Search for every question, and again by the strategies where that looks bad: the stage `reflect`."""
    outcomes = []
    for done, question in enumerate(questions):
        progress(done, len(questions))
        began = time.perf_counter()
        reflection = reflect(retriever, question.text, replace(options, before=question.before), strategies)
        first = reflection.attempts[0]
        outcome = judge(question, first.found, first.rank)
        if strategies:
            outcome.seconds["reflect"] = time.perf_counter() - began - sum(outcome.seconds.values())
            _add(outcome, "reflect", reflection.best.found.ranking())
        outcomes.append(outcome)
    progress(len(questions), len(questions))
    return outcomes


def draw(questions: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """All questions, or so many of them by chance, in their order.

    Raises:
        UserError: a limit under 1.
    """
    if limit is None:
        return list(questions)
    if limit < 1:
        raise UserError(f"--limit {limit} leaves no question: use a number from 1")
    chosen = random.Random(seed).sample(range(len(questions)), min(limit, len(questions)))
    return [questions[i] for i in sorted(chosen)]


def judge(question: Question, found: Found, said: float = 0.0) -> Outcome:
    """The measures of one search, stage by stage; `said` is its confidence."""
    rankings = {name: found.ranking(name) for name in STAGES if name in found.stages}
    if {"bm25", "dense"} <= rankings.keys():
        fused = rrf([found.stages["bm25"], found.stages["dense"]])
        rankings["rrf"] = list(dict.fromkeys(found.documents[each] for each in ranked(fused)))
    rankings = {name: rankings[name] for name in STAGES if name in rankings}
    rankings[list(rankings)[-1]] = found.ranking()  # with what the last stage didn't look at
    measures = {
        name: {measure: each(ranking, question.qrels) for measure, each in MEASURES.items()}
        for name, ranking in rankings.items()
        if question.qrels
    }
    return Outcome(question, rankings, measures, dict(found.seconds), said)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The table: means by stage, and the paired difference of the main measure to the stage before."""
    judged = [each for each in outcomes if each.measures]
    table: dict[str, Any] = {}
    for name in judged[0].measures if judged else ():
        row: dict[str, Any] = {
            measure: statistics.mean(each.measures[name][measure] for each in judged) for measure in MEASURES
        }
        row["interval_95"] = bootstrap([each.measures[name][MAIN] for each in judged]) or (
            row[MAIN],
            row[MAIN],
        )
        before = STAGES.get(name, "rerank")
        if before in judged[0].measures:
            row["before"] = before
            row["difference"] = difference(
                [each.measures[name][MAIN] for each in judged],
                [each.measures[before][MAIN] for each in judged],
            )
        table[name] = row
    return table


def by_kind(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The main measure of every stage, by kind of question; empty where there are no kinds."""
    judged = [each for each in outcomes if each.measures and each.question.kind]
    kinds = dict.fromkeys(each.question.kind for each in judged)
    return {
        kind: {
            "n": len(group),
            **{
                name: statistics.mean(each.measures[name][MAIN] for each in group)
                for name in group[0].measures
            },
        }
        for kind in kinds
        for group in [[each for each in judged if each.question.kind == kind]]
    }


def add(
    outcomes: Sequence[Outcome],
    name: str,
    rank: Callable[[str], Sequence[int]],
    retriever: Retriever,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> None:
    """Another retriever's rankings beside ours; `rank` gives chunk ids, best first."""
    snapshot = retriever.snapshot
    for done, each in enumerate(outcomes):
        progress(done, len(outcomes))
        began = time.perf_counter()
        chunks = rank(each.question.text)
        each.seconds[name] = time.perf_counter() - began
        _add(each, name, list(dict.fromkeys(snapshot.names[snapshot.row_of[chunk]] for chunk in chunks)))


def _add(outcome: Outcome, name: str, ranking: list[str]) -> None:
    outcome.rankings[name] = ranking
    if outcome.measures:
        qrels = outcome.question.qrels
        outcome.measures[name] = {measure: score(ranking, qrels) for measure, score in MEASURES.items()}


def difference(values: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """Mean of the paired differences with its 95 % interval (bootstrap), and how many went up and down."""
    changes = [value - other for value, other in zip(values, others, strict=True)]
    return {
        "mean": statistics.mean(changes),
        "interval_95": bootstrap(changes),
        "better": sum(change > 1e-12 for change in changes),
        "worse": sum(change < -1e-12 for change in changes),
    }


def milliseconds(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Median time of each part of a search."""
    names = dict.fromkeys(name for each in outcomes for name in each.seconds)
    return {
        name: round(1000 * statistics.median(each.seconds.get(name, 0.0) for each in outcomes), 2)
        for name in names
    }


def failures(outcomes: Sequence[Outcome], options: Options, most: int = 10) -> list[dict[str, Any]]:
    """The questions without a relevant document among the first five: where did each stage have it?"""
    worst = [each for each in outcomes if each.measures and not _ours(each)["hit@5"]]
    worst.sort(key=lambda each: _ours(each)[MAIN])
    rows = []
    for each in worst[:most]:
        ranks = {name: _rank(ranking, each.question.qrels) for name, ranking in each.rankings.items()}
        rows.append(
            {
                "id": each.question.id,
                "question": each.question.text,
                "ranks": ranks,
                "lost": lost_at(ranks, options),
                "confidence": each.confidence,
            }
        )
    return rows


def _ours(outcome: Outcome) -> dict[str, float]:
    """The measures of the pipeline's last stage."""
    return [row for name, row in outcome.measures.items() if name in STAGES][-1]


def _rank(ranking: Sequence[str], qrels: dict[str, int]) -> int | None:
    return next((rank for rank, doc in enumerate(ranking, 1) if qrels.get(doc, 0) > 0), None)


def lost_at(ranks: dict[str, int | None], options: Options) -> str:
    """The stage to blame: the first after which the document was further down than before, or gone."""
    sources = [ranks.get(name) for name in options.use]
    best = min((rank for rank in sources if rank is not None), default=None)
    if best is None:
        return "never found"
    fusion, last = ranks.get("fusion"), ranks.get("rerank")
    if best <= 5 and (fusion is None or fusion > 5):
        return "fusion"
    if fusion is not None and fusion <= 5 and (last is None or last > 5):
        return "rerank"
    return "low everywhere"


def columns(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """One row a question, for a CSV file."""
    return [
        {
            "id": each.question.id,
            "kind": each.question.kind,
            "question": each.question.text,
            "confidence": each.confidence,
            **{
                f"{stage} {measure}": round(value, 4)
                for stage, row in each.measures.items()
                for measure, value in row.items()
            },
        }
        for each in outcomes
    ]

"""Retrieval measured by itself: what each stage adds, and which stage lost the right document.

    $ python -m step3_rag evaluate --dataset sample --split dev

Each question is searched once; the rankings of all stages come from that one search, so the differences are
those of the stages alone. Rankings are of documents, each at the place of its best chunk. Questions without
relevant documents can't be ranked rightly: they are left to the judgement of confidence (calibrate.py).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from shared.progress import count_bar
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
    rankings: dict[str, list[str]] = field(default_factory=dict)  # documents, by stage
    measures: dict[str, dict[str, float]] = field(default_factory=dict)  # empty: nothing is relevant

    @property
    def last(self) -> dict[str, float]:
        """The measures of the pipeline's last stage."""
        return list(self.measures.values())[-1]

    def add(self, stage: str, ranking: list[str]) -> None:
        """Measure the ranking of a stage."""
        self.rankings[stage] = ranking
        if self.question.qrels:
            qrels = self.question.qrels
            self.measures[stage] = {name: measure(ranking, qrels) for name, measure in MEASURES.items()}


def tracked(what: str, items: Sequence[T]) -> Iterator[T]:
    """The items one after the other, with a bar of how many are done."""
    with count_bar(what, len(items)) as progress:
        for done, item in enumerate(items):
            progress(done, len(items))
            yield item


def ask(
    retriever: Retriever, questions: Iterable[Question], options: Options, strategies: Sequence[str] = ()
) -> list[Outcome]:
    """Search for every question, and again by the strategies where that looks bad: the stage `reflect`."""
    outcomes = []
    for question in questions:
        reflection = reflect(retriever, question.text, replace(options, before=question.before), strategies)
        outcome = judge(question, reflection.attempts[0].found)
        if strategies:
            outcome.add("reflect", reflection.best.found.ranking())
        outcomes.append(outcome)
    return outcomes


def judge(question: Question, found: Found) -> Outcome:
    """The measures of one search, stage by stage."""
    rankings = {name: found.ranking(name) for name in STAGES if name in found.stages}
    if {"bm25", "dense"} <= rankings.keys():
        fused = rrf([found.stages["bm25"], found.stages["dense"]])
        rankings["rrf"] = list(dict.fromkeys(found.documents[each] for each in ranked(fused)))
    stages = [name for name in STAGES if name in rankings]
    rankings[stages[-1]] = found.ranking()  # with what the last stage didn't look at
    outcome = Outcome(question)
    for name in stages:
        outcome.add(name, rankings[name])
    return outcome


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The table: means by stage, and the paired difference of the main measure to the stage before."""
    judged = [each.measures for each in outcomes if each.measures]
    table: dict[str, Any] = {}
    for name in judged[0]:
        values = [each[name][MAIN] for each in judged]
        row: dict[str, Any] = {
            measure: statistics.mean(each[name][measure] for each in judged) for measure in MEASURES
        }
        row["interval_95"] = bootstrap(values) or (row[MAIN], row[MAIN])
        before = STAGES[name]
        if before in judged[0]:
            row["before"] = before
            row["difference"] = difference(values, [each[before][MAIN] for each in judged])
        table[name] = row
    return table


def by_kind(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The main measure of every stage, by kind of question; empty where there are no kinds."""
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        if each.measures and each.question.kind:
            groups.setdefault(each.question.kind, []).append(each)
    return {
        kind: {"n": len(group)}
        | {name: statistics.mean(each.measures[name][MAIN] for each in group) for name in group[0].measures}
        for kind, group in groups.items()
    }


def difference(values: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """Mean of the paired differences with its 95 % interval (bootstrap), and how many went up and down."""
    changes = [value - other for value, other in zip(values, others, strict=True)]
    return {
        "mean": statistics.mean(changes),
        "interval_95": bootstrap(changes),
        "better": sum(change > 1e-12 for change in changes),
        "worse": sum(change < -1e-12 for change in changes),
    }


def failures(outcomes: Sequence[Outcome], options: Options, most: int = 5) -> list[dict[str, Any]]:
    """The questions without a relevant document among the first five: where did each stage have it?"""
    lost = [each for each in outcomes if each.measures and not each.last["hit@5"]]
    rows = []
    for each in sorted(lost, key=lambda each: each.last[MAIN])[:most]:
        ranks = {name: _rank(ranking, each.question.qrels) for name, ranking in each.rankings.items()}
        blamed = lost_at(ranks, options)
        rows.append({"id": each.question.id, "question": each.question.text, "ranks": ranks, "lost": blamed})
    return rows


def _rank(ranking: Sequence[str], qrels: dict[str, int]) -> int | None:
    return next((rank for rank, doc in enumerate(ranking, 1) if qrels.get(doc, 0) > 0), None)


def lost_at(ranks: dict[str, int | None], options: Options) -> str:
    """The stage to blame: the first after which the document was further down than before, or gone."""
    best = min((rank for name in options.use if (rank := ranks.get(name))), default=None)
    if best is None:
        return "never found"
    fusion, last = ranks.get("fusion"), ranks.get("rerank")
    if best <= 5 and (fusion is None or fusion > 5):
        return "fusion"
    if fusion is not None and fusion <= 5 and (last is None or last > 5):
        return "rerank"
    return "low everywhere"

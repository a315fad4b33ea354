"""Measure retrieval by itself: what each stage adds, and where each stage had the relevant document.

    $ python -m step3_rag evaluate --dataset sample --split dev
    $ python -m step3_rag evaluate --dataset path/to/beir-folder

The rankings of all stages come from one search per question, so only the stages differ. Documents are ranked,
each at the place of its best chunk. Questions without relevant documents have no right ranking; the
confidence is measured on them (calibrate.py).
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import bootstrap, subset
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import Question, dataset_retriever
from step3_rag.evaluate.metrics import MEASURES
from step3_rag.options import search_options
from step3_rag.pipeline import DEFAULT_STRATEGIES
from step3_rag.reflect.reflect import reflect
from step3_rag.retrieve.fuse import ranked, rrf
from step3_rag.retrieve.search import Options, Retriever, SearchResult

MAIN = "nDCG@10"
CHANGE = f"{MAIN}, change"
# Each stage, and the one that it is compared with.
STAGES = {
    "bm25": None,
    "dense": None,
    "rrf": "bm25",
    "fusion": "rrf",
    "rerank": "fusion",
    "reflect": "rerank",
}


@dataclass
class Ranked:
    """A question with the ranking of every stage."""

    question: Question
    rankings: dict[str, list[str]]  # documents, by stage

    @cached_property
    def measures(self) -> dict[str, dict[str, float]]:
        """The measures of every stage; empty if nothing is relevant."""
        qrels = self.question.qrels
        if not qrels:
            return {}
        return {
            stage: {name: measure(ranking, qrels) for name, measure in MEASURES.items()}
            for stage, ranking in self.rankings.items()
        }

    @property
    def last(self) -> dict[str, float]:
        """The measures of the last stage."""
        return list(self.measures.values())[-1]


def run(
    settings: Settings, name: str, split: str | None, rerank: str, limit: int | None = None
) -> dict[str, Any]:
    """Search for every question of a dataset and measure every stage.

    Raises:
        UserError: no such dataset, or no question in it has a relevant document.
    """
    data = dataset.read(name, split)
    retriever = dataset_retriever(settings, data)
    questions = track(f"asking {data.name}", subset(data.questions, limit, settings.seed))
    outcomes = ask(retriever, questions, search_options(settings, rerank), DEFAULT_STRATEGIES)
    if not any(each.measures for each in outcomes):
        raise UserError(f"{data.name}: none of the questions has a relevant document, so there is no ranking")
    stages = summary(outcomes)
    last = stages["rerank" if "rerank" in stages else "fusion"]
    n = sum(bool(each.measures) for each in outcomes)
    return {
        "headline": f"{MAIN} {last[MAIN]:.3f} on {data.name}",
        "n": n,
        "tables": {
            "stage": stages,
            f"{MAIN} by kind": by_kind(outcomes),
            "rank of the first relevant document, for the worst questions": failures(outcomes),
        },
        "note": f"{data.name}: {n} questions and {len(outcomes) - n} without an answer, "
        f"{len(data.sources)} documents, {len(retriever.snapshot)} chunks; {settings.embedder}",
    }


def ask(
    retriever: Retriever, questions: Iterable[Question], options: Options, strategies: Sequence[str] = ()
) -> list[Ranked]:
    """Search for every question and, if that looks bad, again by the strategies (stage `reflect`)."""
    outcomes = []
    for question in questions:
        reflection = reflect(retriever, question.text, replace(options, before=question.before), strategies)
        outcome = rank(question, reflection.attempts[0].found)
        if strategies:
            outcome.rankings["reflect"] = reflection.best.found.ranking()
        outcomes.append(outcome)
    return outcomes


def rank(question: Question, found: SearchResult) -> Ranked:
    """The rankings of all stages of one search."""
    rankings = {name: found.ranking(name) for name in STAGES if name in found.stages}
    if {"bm25", "dense"} <= rankings.keys():
        fused = rrf([found.stages["bm25"], found.stages["dense"]])
        rankings["rrf"] = list(dict.fromkeys(found.documents[each] for each in ranked(fused)))
    stages = [name for name in STAGES if name in rankings]
    rankings[stages[-1]] = found.ranking()  # also has the candidates that this stage didn't look at
    return Ranked(question, {name: rankings[name] for name in stages})


def summary(outcomes: Sequence[Ranked]) -> dict[str, Any]:
    """Means by stage, and the paired difference of the main measure to the stage before."""
    judged = [each.measures for each in outcomes if each.measures]
    table: dict[str, Any] = {}
    for name in judged[0]:
        values = [each[name][MAIN] for each in judged]
        row: dict[str, Any] = {
            measure: statistics.mean(each[name][measure] for each in judged) for measure in MEASURES
        }
        before = STAGES[name] if STAGES[name] in judged[0] else None
        row["over"] = before
        row[CHANGE] = difference(values, [each[before][MAIN] for each in judged]) if before else None
        table[name] = row
    return table


def by_kind(outcomes: Sequence[Ranked]) -> dict[str, Any]:
    """The main measure of every stage, by kind of question; empty if the questions have no kinds."""
    groups: dict[str, list[Ranked]] = {}
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


def failures(outcomes: Sequence[Ranked], most: int = 5) -> dict[str, Any]:
    """The rank of the first relevant document at every stage, for questions without one among five."""
    lost = [each for each in outcomes if each.measures and not each.last["hit@5"]]
    return {
        f"{each.question.id}: {each.question.text[:100]}": {
            name: _rank(ranking, each.question.qrels) for name, ranking in each.rankings.items()
        }
        for each in sorted(lost, key=lambda each: each.last[MAIN])[:most]
    }


def _rank(ranking: Sequence[str], qrels: dict[str, int]) -> int | None:
    return next((rank for rank, doc in enumerate(ranking, 1) if qrels.get(doc, 0) > 0), None)

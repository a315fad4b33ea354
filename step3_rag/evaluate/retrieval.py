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

from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import subset
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import Question, dataset_retriever
from step3_rag.evaluate.measurement import QuestionMeasurement, Row, Table, difference
from step3_rag.evaluate.metrics import MEASURES
from step3_rag.from_flags import search_options
from step3_rag.pipeline import DEFAULT_STRATEGIES
from step3_rag.reflect.loop import reflect
from step3_rag.retrieve.fuse import ranked, rrf
from step3_rag.retrieve.search import Retriever, SearchOptions, SearchResult

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
) -> QuestionMeasurement:
    """Search for every question of a dataset and measure every stage.

    Raises:
        UserError: no such dataset, or no question in it has a relevant document.
    """
    data = dataset.read(name, split)
    retriever = dataset_retriever(settings, data)
    questions = track(f"asking {data.name}", subset(data.questions, limit, settings.seed))
    outcomes = rank_questions(retriever, questions, search_options(settings, rerank), DEFAULT_STRATEGIES)
    judged = sum(bool(outcome.measures) for outcome in outcomes)
    if not judged:
        raise UserError(f"{data.name}: none of the questions has a relevant document, so there is no ranking")
    stages = summary(outcomes)
    last = stages["rerank" if "rerank" in stages else "fusion"]
    return QuestionMeasurement(
        command="step3_rag evaluate",
        headline=f"{MAIN} {last[MAIN]:.3f} on {data.name}",
        n=judged,
        tables={
            "stage": stages,
            f"{MAIN} by kind": by_kind(outcomes),
            "rank of the first relevant document, for the worst questions": failures(outcomes),
        },
        note=f"{data.name}: {judged} questions and {len(outcomes) - judged} without an answer, "
        f"{len(data.sources)} documents, {len(retriever.snapshot)} chunks; {settings.embedder}",
    )


def rank_questions(
    retriever: Retriever,
    questions: Iterable[Question],
    options: SearchOptions,
    strategies: Sequence[str] = (),
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


def rank(question: Question, result: SearchResult) -> Ranked:
    """The rankings of all stages of one search."""
    rankings = {name: result.ranking(name) for name in STAGES if name in result.stages}
    if {"bm25", "dense"} <= rankings.keys():
        fused = rrf([result.stages["bm25"], result.stages["dense"]])
        rankings["rrf"] = list(dict.fromkeys(result.documents[chunk] for chunk in ranked(fused)))
    stages = [name for name in STAGES if name in rankings]
    rankings[stages[-1]] = result.ranking()  # also has the candidates that this stage didn't look at
    return Ranked(question, {name: rankings[name] for name in stages})


def summary(outcomes: Sequence[Ranked]) -> Table:
    """Means by stage, and the paired difference of the main measure to the stage before."""
    measures = [outcome.measures for outcome in outcomes if outcome.measures]
    table: dict[str, Row] = {}
    for stage in measures[0]:
        row = {}
        for measure in MEASURES:
            row[measure] = statistics.mean(of_stages[stage][measure] for of_stages in measures)
        before = STAGES[stage] if STAGES[stage] in measures[0] else None
        change = None
        if before:
            values = [of_stages[stage][MAIN] for of_stages in measures]
            change = difference(values, [of_stages[before][MAIN] for of_stages in measures])
        table[stage] = {**row, "over": before, CHANGE: change}
    return table


def by_kind(outcomes: Sequence[Ranked]) -> Table:
    """The main measure of every stage, by kind of question; empty if the questions have no kinds."""
    groups: dict[str, list[Ranked]] = {}
    for outcome in outcomes:
        if outcome.measures and outcome.question.kind:
            groups.setdefault(outcome.question.kind, []).append(outcome)
    table: dict[str, Row] = {}
    for kind, group in groups.items():
        row: dict[str, float] = {"n": len(group)}
        for stage in group[0].measures:
            row[stage] = statistics.mean(outcome.measures[stage][MAIN] for outcome in group)
        table[kind] = row
    return table


def failures(outcomes: Sequence[Ranked], most: int = 5) -> Table:
    """The rank of the first relevant document at every stage, for questions without one among five."""
    lost = [outcome for outcome in outcomes if outcome.measures and not outcome.last["hit@5"]]
    lost.sort(key=lambda outcome: outcome.last[MAIN])
    table: dict[str, Row] = {}
    for outcome in lost[:most]:
        question = outcome.question
        ranks = {stage: _rank(ranking, question.qrels) for stage, ranking in outcome.rankings.items()}
        table[f"{question.id}: {question.text[:100]}"] = ranks
    return table


def _rank(ranking: Sequence[str], qrels: dict[str, int]) -> int | None:
    """The rank of the first relevant document, from 1; None if there is none."""
    for rank, document in enumerate(ranking, 1):
        if qrels.get(document, 0) > 0:
            return rank
    return None

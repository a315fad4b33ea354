"""Retrieval measured by itself: what each stage adds, and where each stage had the right document.

    $ python -m step3_rag evaluate --dataset sample --split dev
    $ python -m step3_rag evaluate --dataset path/to/beir-folder --out stages.png

Each question is searched once; the rankings of all stages come from that one search, so the differences are
those of the stages alone. Rankings are of documents, each at the place of its best chunk. Questions without
relevant documents can't be ranked rightly: they are left to the judgement of confidence (calibrate.py).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from shared import hardware
from shared.cli import plain_table
from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import new_figure, picture_path
from shared.stats import bootstrap, subset
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import Question, dataset_service
from step3_rag.evaluate.metrics import MEASURES
from step3_rag.options import search_options
from step3_rag.pipeline import STRATEGIES
from step3_rag.reflect.reflect import reflect
from step3_rag.retrieve.fuse import ranked, rrf
from step3_rag.retrieve.search import Found, Options, Retriever

if TYPE_CHECKING:
    from rich.console import Console

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


def run(
    settings: Settings,
    name: str,
    split: str | None,
    rerank: str,
    out: Path | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Search every question of a collection and measure every stage.

    Args:
        out: a file for the picture; None: among the reports.

    Raises:
        UserError: no such collection, or no question in it has a relevant document.
    """
    picture = picture_path("step3_rag", "evaluate", out)
    data = dataset.read(name, split)
    retriever = dataset_service(settings, data).retriever
    questions = tracked(f"asking {data.name}", subset(data.questions, limit, settings.seed))
    outcomes = ask(retriever, questions, search_options(settings, rerank), STRATEGIES)
    if not any(each.measures for each in outcomes):
        raise UserError(f"{data.name}: none of the questions has a relevant document, so there is no ranking")
    stages = summary(outcomes)
    last = stages["rerank" if "rerank" in stages else "fusion"]
    facts: dict[str, Any] = {
        "command": "step3_rag evaluate",
        "headline": f"nDCG@10 {last[MAIN]:.3f} on {data.name}",
        "dataset": data.name,
        "n": sum(bool(each.measures) for each in outcomes),
        "unanswerable": sum(not each.measures for each in outcomes),
        "documents": len(data.sources),
        "chunks": len(retriever.snapshot),
        "stages": stages,
        "by_kind": by_kind(outcomes),
        "failures": failures(outcomes),
        "embedder": settings.embedder,
        "machine": hardware.describe(),
        "picture": str(picture),
    }
    draw(facts, picture)
    return facts


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


def failures(outcomes: Sequence[Outcome], most: int = 5) -> list[dict[str, Any]]:
    """The questions without a relevant document among the first five: where did each stage have it?"""
    lost = [each for each in outcomes if each.measures and not each.last["hit@5"]]
    return [
        {
            "id": each.question.id,
            "question": each.question.text,
            "ranks": {name: _rank(ranking, each.question.qrels) for name, ranking in each.rankings.items()},
        }
        for each in sorted(lost, key=lambda each: each.last[MAIN])[:most]
    ]


def _rank(ranking: Sequence[str], qrels: dict[str, int]) -> int | None:
    return next((rank for rank, doc in enumerate(ranking, 1) if qrels.get(doc, 0) > 0), None)


# --- what is shown ------------------------------------------------------------------------------------------


def interval(found: Mapping[str, Any], digits: int = 3) -> str:
    """A difference in words: `+0.023 (+0.015 to +0.030)`."""
    low, high = found["interval_95"] or (found["mean"], found["mean"])
    return f"{found['mean']:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The stage table, the kinds of questions, and the worst questions."""
    change = "nDCG@10, change and its 95% interval"
    table = plain_table("stage", *MEASURES, change, right=list(MEASURES))
    table.padding = (0, 1, 0, 0)
    for name, row in facts["stages"].items():
        change = f"{interval(row['difference'])} over {row['before']}" if "before" in row else ""
        table.add_row(name, *(f"{row[measure]:.3f}" for measure in MEASURES), change)
    console.print(table)
    if facts["by_kind"]:
        names = list(facts["stages"])
        kinds = plain_table("nDCG@10 by kind", "n", *names, right=["n", *names])
        kinds.padding = (0, 1, 0, 0)
        for kind, row in facts["by_kind"].items():
            kinds.add_row(kind, str(row["n"]), *(f"{row[name]:.3f}" for name in names))
        console.print()
        console.print(kinds)
    if facts["failures"]:
        console.print("\nwhere the first relevant document stood, for the worst questions", style="bold")
    for row in facts["failures"]:
        ranks = ", ".join(f"{name} {rank or 'none'}" for name, rank in row["ranks"].items())
        console.print(f"{row['question'][:100]}\n    {ranks}", soft_wrap=True)
    unanswerable = f" and {facts['unanswerable']} without an answer" if facts["unanswerable"] else ""
    console.print(
        f"\n{facts['dataset']}: {facts['n']} questions{unanswerable}, {facts['documents']} documents, "
        f"{facts['chunks']} chunks; {facts['embedder']}; {facts['machine']}",
        soft_wrap=True,
    )
    console.print(f"The picture: {facts['picture']}", soft_wrap=True)


def draw(facts: Mapping[str, Any], path: Path) -> None:
    """nDCG@10 of every stage with its interval."""
    stages = facts["stages"]
    figure = new_figure(6.0, 3.4)
    axis = figure.subplots()
    values = np.array([row[MAIN] for row in stages.values()])
    intervals = np.array([row["interval_95"] for row in stages.values()])
    axis.errorbar(values, list(stages), xerr=abs(intervals.T - values), fmt="o", capsize=3)
    for place, value in enumerate(values):
        axis.text(value, place - 0.15, f"{value:.3f}", ha="center", fontsize=8)
    axis.set_ylim(len(stages) - 0.5, -0.6)  # the first stage on top
    axis.set_xlabel("nDCG@10, 95% interval of the mean")
    axis.set_title(f"{facts['dataset']}, n={facts['n']}", fontsize=10)
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)

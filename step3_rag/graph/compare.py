"""Does the graph help? Plain search and search with the graph, on questions that need more than one document.

    $ python -m step3_rag graph compare --split dev

Measures, of documents: the share of the needed ones among the first 5 and 10 (Recall@5, Recall@10); the share
of questions with *all* of them among the first 10, because for an answer that has to be put together half
the evidence is none; and the share of the needed documents that have one of the first 5 *passages*, which is
what a model gets to read. Differences are of pairs, so each question is its own control; the interval is a
bootstrap's. Where it contains 0, the questions can't tell.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from step3_rag.evaluate.dataset import Question
from step3_rag.evaluate.metrics import recall
from step3_rag.evaluate.retrieval import difference
from step3_rag.graph.net import Graph
from step3_rag.graph.search import Hopping, retrieve
from step3_rag.retrieve.search import Options, Retriever

if TYPE_CHECKING:
    from rich.console import Console

KINDS = ("multi-hop", "two-sources")
MEASURES: dict[str, Callable[[Sequence[str], dict[str, int]], float]] = {
    "Recall@5": lambda ranking, qrels: recall(ranking, qrels, 5),
    "Recall@10": lambda ranking, qrels: recall(ranking, qrels, 10),
    "all evidence@10": lambda ranking, qrels: float(recall(ranking, qrels, 10) == 1),
}
READ = "in 5 passages"
NAMES = (*MEASURES, READ)


def compare(
    retriever: Retriever,
    graph: Graph,
    questions: Sequence[Question],
    hopping: Hopping | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, Any]:
    """Both ways over the questions that have relevant documents: figures by kind of question, and rows."""
    rows: list[dict[str, Any]] = []
    asked = [each for each in questions if each.qrels]
    seconds = []
    for done, question in enumerate(asked):
        progress(done, len(asked))
        began = time.perf_counter()
        hopped = retrieve(graph, retriever, question.text, Options(), hopping)
        seconds.append(time.perf_counter() - began - sum(hopped.plain.seconds.values()))
        rankings = {"plain": hopped.plain.ranking(), "graph": hopped.ranking()}
        orders = {"plain": hopped.plain.order, "graph": hopped.order}
        rows.append(
            {
                "id": question.id,
                "kind": question.kind,
                "question": question.text,
                "linked": hopped.linked,
                "bridges": hopped.bridges,
                "ranks": {
                    way: [ranking.index(doc) + 1 if doc in ranking else None for doc in question.qrels]
                    for way, ranking in rankings.items()
                },
                **{
                    way: {
                        **{name: measure(ranking, question.qrels) for name, measure in MEASURES.items()},
                        READ: recall([hopped.documents[each] for each in orders[way][:5]], question.qrels, 5),
                    }
                    for way, ranking in rankings.items()
                },
            }
        )
    progress(len(asked), len(asked))
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    groups = {kind: [row for row in rows if row["kind"] == kind] for kind in kinds}
    both = [row for row in rows if row["kind"] in KINDS]
    others = [row for row in rows if row["kind"] not in KINDS]
    if len(kinds) > 1:
        groups["both"] = both
    if others:
        groups["one document" if kinds else "all"] = others
    return {
        "by_kind": {name: _figures(group) for name, group in groups.items()},
        "milliseconds": round(1000 * statistics.median(seconds), 2) if seconds else None,
        "rows": rows,
    }


def _figures(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    figures: dict[str, Any] = {"n": len(rows)}
    for name in NAMES:
        plain, graph = ([row[way][name] for row in rows] for way in ("plain", "graph"))
        figures[name] = {
            "plain": round(statistics.mean(plain), 4),
            "graph": round(statistics.mean(graph), 4),
            **difference(graph, plain),
        }
    return figures


def show(facts: dict[str, Any], console: Console) -> None:
    """The table, and what it lets one say."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("questions", "n", "measure", "plain", "graph", "difference (95 %)", "better", "worse"):
        table.add_column(name, justify="left" if name in ("questions", "measure") else "right", no_wrap=True)
    for kind, figures in facts["by_kind"].items():
        for i, name in enumerate(NAMES):
            row = figures[name]
            table.add_row(
                *((kind, str(figures["n"])) if not i else ("", "")),
                name,
                f"{row['plain']:.3f}",
                f"{row['graph']:.3f}",
                f"{row['mean']:+.3f}{interval(row['interval_95'])}",
                str(row["better"]),
                str(row["worse"]),
            )
    console.print(table)


def interval(bounds: Sequence[float] | None) -> str:
    """` (-0.020 to +0.110)`; nothing where one question gives none."""
    return f" ({bounds[0]:+.3f} to {bounds[1]:+.3f})" if bounds else ""


def verdict(facts: dict[str, Any]) -> str:
    """What may be said of questions that need several documents: it helps, it hurts, or nobody can tell."""
    name = next((each for each in ("both", *KINDS, "all") if each in facts["by_kind"]), None)
    if name is None:
        return "no question needs several documents"
    figures = facts["by_kind"][name]
    row = figures["Recall@5"]
    low, high = row["interval_95"] or (-1.0, 1.0)
    says = "the graph helps" if low > 0 else "the graph hurts" if high < 0 else "no difference can be told"
    return f"Recall@5 {row['plain']:.3f} plain, {row['graph']:.3f} with the graph, n = {figures['n']}: {says}"

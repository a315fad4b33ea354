"""Does the graph help? Plain search and search with the graph, on questions that need more than one document.

    $ python -m step3_rag graph compare --split dev

Measures: the share of the needed documents among the first 5 and 10; the share of questions with *all* of
them among the first 10, since half the evidence gives no answer; and the share of the needed documents that
have one of the first 5 *passages*, which a model gets to read.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from step3_rag.evaluate.dataset import Question
from step3_rag.evaluate.metrics import recall
from step3_rag.evaluate.retrieval import difference
from step3_rag.graph.net import Graph
from step3_rag.graph.search import DEFAULT, GraphRetriever
from step3_rag.retrieve.search import Found, Options, Retriever

MEASURES: dict[str, Callable[[Found, dict[str, int]], float]] = {
    "Recall@5": lambda found, qrels: recall(found.ranking(), qrels, 5),
    "Recall@10": lambda found, qrels: recall(found.ranking(), qrels, 10),
    "all evidence@10": lambda found, qrels: float(recall(found.ranking(), qrels, 10) == 1),
    "in 5 passages": lambda found, qrels: recall([each.chunk.document for each in found.best], qrels, 5),
}


def compare(
    plain: Retriever,
    graph: Graph,
    questions: Sequence[Question],
    options: Options = DEFAULT,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, Any]:
    """Both ways over questions with relevant documents: rows, and figures by kind of question and for all.

    The differences are of pairs, each question its own control, with a bootstrap interval of 95 %.
    """
    retriever, rows = GraphRetriever(plain, graph), []
    for done, question in enumerate(questions):
        progress(done, len(questions))
        row: dict[str, Any] = {"id": question.id, "kind": question.kind, "question": question.text}
        for way, searcher in (("plain", plain), ("graph", retriever)):
            began = time.perf_counter()
            found = searcher.search(question.text, options)
            row[f"{way} ms"] = 1000 * (time.perf_counter() - began)
            row[way] = {name: measure(found, question.qrels) for name, measure in MEASURES.items()}
        rows.append({**row, "bridges": retriever.bridges[question.text]})
    kinds = sorted({row["kind"] for row in rows})
    groups = {kind: [row for row in rows if row["kind"] == kind] for kind in kinds} | {"all": rows}
    by_kind = {
        kind: {"n": len(group)} | {name: _figures(group, name) for name in MEASURES}
        for kind, group in groups.items()
    }
    extra = round(statistics.median(row["graph ms"] - row["plain ms"] for row in rows), 1)
    return {"by_kind": by_kind, "milliseconds": extra, "rows": rows}


def _figures(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    plain, graph = ([row[way][name] for row in rows] for way in ("plain", "graph"))
    return {"plain": statistics.mean(plain), "graph": statistics.mean(graph), **difference(graph, plain)}


def verdict(by_kind: dict[str, Any]) -> str:
    """What may be said: it helps, it hurts, or nobody can tell."""
    row, n = by_kind["all"]["Recall@5"], by_kind["all"]["n"]
    low, high = row["interval_95"] or (-1.0, 1.0)
    says = "the graph helps" if low > 0 else "the graph hurts" if high < 0 else "no difference can be told"
    return f"Recall@5 {row['plain']:.3f} plain, {row['graph']:.3f} with the graph, n = {n}: {says}"

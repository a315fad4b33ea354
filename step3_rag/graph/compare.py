"""Does the graph help? Plain search and search with the graph, on questions that need more than one document.

    $ python -m step3_rag graph compare --split dev

Measures: the share of the needed documents among the first 5 and 10; the share of questions with *all* of
them among the first 10, since half the evidence gives no answer; and the share of the needed documents that
have one of the first 5 *passages*, which a model gets to read.
"""

from __future__ import annotations

import statistics
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
    """Figures of both ways by kind of question and for all, and the time that the graph adds to a search.

    The differences are of pairs, each question its own control, with a bootstrap interval of 95 %.
    """
    retriever = GraphRetriever(plain, graph)
    groups: dict[str, list[tuple[Question, Found, Found]]] = {}
    extra = []
    for done, question in enumerate(sorted(questions, key=lambda each: each.kind), 1):
        progress(done, len(questions))
        pair = (plain.search(question.text, options), retriever.search(question.text, options))
        extra.append(1000 * pair[1].seconds.get("graph", 0.0))
        groups.setdefault(question.kind, []).append((question, *pair))
    groups["all"] = [each for group in groups.values() for each in group]
    by_kind: dict[str, Any] = {}
    for kind, group in groups.items():
        by_kind[kind] = {"n": len(group)}
        for name, measure in MEASURES.items():
            before = [measure(found, question.qrels) for question, found, _ in group]
            after = [measure(found, question.qrels) for question, _, found in group]
            means = {"plain": statistics.mean(before), "graph": statistics.mean(after)}
            by_kind[kind][name] = means | difference(after, before)
    return {"by_kind": by_kind, "milliseconds": round(statistics.median(extra), 1)}


def verdict(by_kind: dict[str, Any]) -> str:
    """What may be said: it helps, it hurts, or nobody can tell."""
    row, n = by_kind["all"]["Recall@5"], by_kind["all"]["n"]
    low, high = row["interval_95"] or (-1.0, 1.0)
    says = "the graph helps" if low > 0 else "the graph hurts" if high < 0 else "no difference can be told"
    return f"Recall@5 {row['plain']:.3f} plain, {row['graph']:.3f} with the graph, n = {n}: {says}"

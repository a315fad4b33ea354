"""Measure the router: every question of the sample with and without it, by margin."""

import dataclasses
import statistics
from typing import Any

from shared.config import Settings
from shared.progress import track
from step3_rag.evaluate import dataset, retrieval
from step3_rag.evaluate.dataset import dataset_retriever
from step3_rag.evaluate.metrics import ndcg
from step3_rag.reflect.route import MARGIN, Router, search
from step3_rag.retrieve.search import Options

MARGINS = (MARGIN, 0.0, 0.05, 0.1)  # the default first


def run(settings: Settings, split: str) -> dict[str, Any]:
    """Measure the router on the sample's questions whose relevant documents are all in one collection."""
    data = dataset.read("sample", split)
    retriever = dataset_retriever(settings, data)
    questions = [
        each
        for each in data.questions
        if each.qrels and all(doc.split("/")[0] == each.collection for doc in each.qrels)
    ]
    asked = list(zip(questions, retriever.embedder.encode([each.text for each in questions]), strict=True))
    n = len({each.collection for each in questions})
    plain = [
        ndcg(retriever.search(each.text, Options(), encoded).ranking(), each.qrels) for each, encoded in asked
    ]
    whole = Router.of(retriever, seed=settings.seed)
    rows: dict[str, Any] = {}
    for margin in track("routing", MARGINS):
        router = dataclasses.replace(whole, margin=margin)
        chosen, reach, again, routed = [], 0, 0, []
        for each, encoded in asked:
            to = router.route(encoded.vector)
            found = search(retriever, router, each.text, Options(), encoded)
            chosen.append(to)
            reach += not to or each.collection in to
            again += bool(to) and not found.options.collections
            routed.append(ndcg(found.ranking(), each.qrels))
        rows[f"{margin:g}"] = {
            "reach theirs": reach,
            "to one": sum(len(to) == 1 for to in chosen),
            "to all": sum(not to for to in chosen),
            "asked again": again,
            "searched": statistics.mean((len(to) or n) / n for to in chosen),
            "nDCG@10, change": retrieval.difference(routed, plain),
        }
    first = next(iter(rows.values()))
    return {
        "headline": f"{first['reach theirs']} of {len(questions)} questions reach their collection",
        "n": len(questions),
        "tables": {"margin": rows},
        "note": f"{data.name}: {len(questions)} questions",
    }

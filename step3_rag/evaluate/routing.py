"""Measure the router: every question of the sample with and without it, by margin."""

import dataclasses
import statistics
from collections.abc import Sequence

from shared.config import Settings
from shared.progress import track
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import Question, dataset_retriever
from step3_rag.evaluate.measurement import QuestionMeasurement, Row, difference
from step3_rag.evaluate.metrics import ndcg
from step3_rag.ingest.embed import Encoded
from step3_rag.reflect.route import MARGIN, Router, search
from step3_rag.retrieve.search import Retriever, SearchOptions

MARGINS = (MARGIN, 0.0, 0.05, 0.1)  # the default first


def run(settings: Settings, split: str) -> QuestionMeasurement:
    """Measure the router on the sample's questions whose relevant documents are all in one collection."""
    data = dataset.read("sample", split)
    retriever = dataset_retriever(settings, data)
    questions = [question for question in data.questions if in_one_collection(question)]
    encoded = retriever.embedder.encode([question.text for question in questions])
    unrouted = []
    for question, query in zip(questions, encoded, strict=True):
        unrouted.append(
            ndcg(retriever.search(question.text, SearchOptions(), query).ranking(), question.qrels)
        )
    router = Router.of(retriever, seed=settings.seed)
    rows: dict[str, Row] = {}
    for margin in track("routing", MARGINS):
        with_margin = dataclasses.replace(router, margin=margin)
        rows[f"{margin:g}"] = measure(retriever, with_margin, questions, encoded, unrouted)
    first = next(iter(rows.values()))
    return QuestionMeasurement(
        command="step3_rag route",
        headline=f"{first['reach theirs']} of {len(questions)} questions reach their collection",
        n=len(questions),
        tables={"margin": rows},
        note=f"{data.name}: {len(questions)} questions",
    )


def in_one_collection(question: Question) -> bool:
    """Whether it has relevant documents, all of the question's collection."""
    collections = {document.split("/")[0] for document in question.qrels}
    return collections == {question.collection}


def measure(
    retriever: Retriever,
    router: Router,
    questions: Sequence[Question],
    encoded: Sequence[Encoded],
    unrouted: Sequence[float],
) -> Row:
    """Where a router sends the questions, and the change of nDCG@10 over `unrouted`, without a router."""
    routes: list[tuple[str, ...]] = []
    reached = 0  # questions whose collection is searched at first
    asked_again = 0
    routed = []
    for question, query in zip(questions, encoded, strict=True):
        route = router.route(query.vector)
        result = search(retriever, router, question.text, SearchOptions(), query)
        routes.append(route)
        if not route or question.collection in route:
            reached += 1
        if route and not result.options.collections:
            asked_again += 1
        routed.append(ndcg(result.ranking(), question.qrels))
    all_collections = len({question.collection for question in questions})
    return {
        "reach theirs": reached,
        "to one": sum(len(route) == 1 for route in routes),
        "to all": sum(not route for route in routes),
        "asked again": asked_again,
        "searched": statistics.mean((len(route) or all_collections) / all_collections for route in routes),
        "nDCG@10, change": difference(routed, unrouted),
    }

"""Does routing pay? Each question of the sample with and without it, by margin."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.progress import count_bar
from step3_rag.evaluate import dataset, retrieval
from step3_rag.evaluate.dataset import Question, dataset_service
from step3_rag.reflect.routed import search
from step3_rag.retrieve.route import Router
from step3_rag.retrieve.search import Found, Options

if TYPE_CHECKING:
    from rich.console import Console


def run(settings: Settings, split: str, margins: Sequence[float]) -> dict[str, Any]:
    """Routing measured on the sample's questions whose relevant documents all lie in one collection."""
    data = dataset.read("sample", split, settings)
    retriever = dataset_service(settings, data).retriever
    questions = [each for each in data.questions if each.collection and _is_of_one(each)]
    encoded = retriever.embedder.encode([each.text for each in questions])
    names = sorted({each.collection or "" for each in questions})

    def score(question: Question, found: Found) -> float:
        return retrieval.judge(question, found).measures["rerank"][retrieval.MAIN]

    plain = [
        score(question, retriever.search(question.text, Options(), one))
        for question, one in zip(questions, encoded, strict=True)
    ]
    whole = Router.of(retriever, seed=settings.seed)
    rows = {}
    with count_bar("routing", len(margins)) as progress:
        for done, margin in enumerate(margins):
            progress(done, len(margins))
            router = dataclasses.replace(whole, margin=margin)
            asked = [router.route(one.vector) for one in encoded]
            found = [
                search(retriever, router, question.text, Options(), one)
                for question, one in zip(questions, encoded, strict=True)
            ]
            routed = [score(question, each) for question, (each, _) in zip(questions, found, strict=True)]
            rows[f"{margin:g}"] = {
                "right": sum(
                    not to or each.collection in to for each, to in zip(questions, asked, strict=True)
                ),
                "to_one": sum(len(to) == 1 for to in asked),
                "to_all": sum(not to for to in asked),
                "again": sum(bool(to) and not used for to, (_, used) in zip(asked, found, strict=True)),
                "searched": statistics.mean((len(to) or len(names)) / len(names) for to in asked),
                "difference": retrieval.difference(routed, plain),
                "by_collection": {
                    name: [_mean_of(name, questions, values) for values in (plain, routed)] for name in names
                },
            }
    nearest = [next(iter(whole.nearness(one.vector))) for one in encoded]
    first = f"{margins[0]:g}"
    return {
        "command": "step3_rag route",
        "headline": f"{rows[first]['right']} of {len(questions)} questions reach their collection",
        "dataset": data.name,
        "n": len(questions),
        "n_by_collection": {name: sum(each.collection == name for each in questions) for name in names},
        "nearest_right": sum(a == each.collection for a, each in zip(nearest, questions, strict=True)),
        "margins": rows,
        "machine": hardware.describe(),
    }


def _is_of_one(question: Question) -> bool:
    return bool(question.qrels) and all(doc.split("/")[0] == question.collection for doc in question.qrels)


def _mean_of(name: str, questions: Sequence[Question], values: Sequence[float]) -> float:
    own = [value for value, each in zip(values, questions, strict=True) if each.collection == name]
    return statistics.mean(own)


def show(facts: Mapping[str, Any], console: Console) -> None:
    """Where the questions went, by margin; and what that did to each collection at the first of them."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("margin", "reach theirs", "to one", "to all", "asked again", "searched", "nDCG@10"):
        table.add_column(name, justify="right", no_wrap=True)
    for margin, row in facts["margins"].items():
        change = row["difference"]
        table.add_row(
            margin,
            f"{row['right']}/{facts['n']}",
            *(str(row[each]) for each in ("to_one", "to_all", "again")),
            f"{row['searched']:.0%}",
            f"{change['mean']:+.3f}, {change['better']} up {change['worse']} down",
        )
    console.print(table)
    first, row = next(iter(facts["margins"].items()))
    console.print(f"\nnDCG@10 by collection, without and with routing at a margin of {first}:")
    for name, (before, after) in row["by_collection"].items():
        console.print(f"  {name} (n={facts['n_by_collection'][name]}): {before:.3f} {after:.3f}")
    console.print(
        f"\nThe nearest collection alone is the right one for {facts['nearest_right']} of {facts['n']} "
        f"questions; {facts['dataset']}; {facts['machine']}",
        soft_wrap=True,
    )

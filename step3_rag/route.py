"""Send a question to the right collections: a semantic router over centroids, and "all" when in doubt.

    >>> router = Router.of(retriever)
    >>> router.route(embedder.encode(["How many days of leave do I have?"])[0].vector)
    ('handbook',)

Each collection is summed up by a few centroids of its chunks' vectors (k-means); a question is as near to a
collection as to the nearest of them. The nearest collection is searched alone if it leads the second by a
margin, the near ones together otherwise. What routing gains is a smaller search and fewer passages from the
wrong place; what it risks is that the right place isn't searched at all. Two things keep that risk small: the
margin, and a second search of everything when the first one looks bad (confidence.py).
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shared import hardware
from shared.config import Settings
from shared.progress import count_bar
from step3_rag import dataset, evaluate
from step3_rag.confidence import confidence
from step3_rag.dataset import Question
from step3_rag.embed import Encoded
from step3_rag.reflect import THRESHOLD
from step3_rag.search import Found, Options, Retriever
from step3_rag.service import dataset_service

if TYPE_CHECKING:
    from rich.console import Console

CENTROIDS = 24  # of each collection
MANY = 10_000  # chunks of a collection, about, that are enough to tell where it lies
MARGIN = 0.2  # of cosine: collections that are behind the nearest by more are not searched


@dataclass(frozen=True)
class Router:
    """The centroids of each collection, shape (centroids, dim), length 1."""

    centroids: dict[str, np.ndarray]
    margin: float = MARGIN

    @classmethod
    def of(cls, retriever: Retriever, margin: float = MARGIN, seed: int = 0) -> Router:
        """A router for the collections of an index."""
        snapshot = retriever.snapshot
        found = {}
        for name in sorted(set(snapshot.collections)):
            ids = snapshot.ids[snapshot.collections == name]
            some = ids[:: 1 + len(ids) // MANY].tolist()
            found[name] = k_means(retriever.index.vectors(some), CENTROIDS, seed)
        return cls(found, margin)

    def nearness(self, vector: np.ndarray) -> dict[str, float]:
        """The cosine of a question to the nearest centroid of each collection, nearest first."""
        scores = {name: float((each @ vector).max()) for name, each in self.centroids.items()}
        return dict(sorted(scores.items(), key=lambda each: -each[1]))

    def route(self, vector: np.ndarray) -> tuple[str, ...]:
        """The collections to search; empty for all of them."""
        scores = self.nearness(vector)
        best = max(scores.values(), default=0.0)
        near = tuple(name for name, score in scores.items() if score >= best - self.margin)
        return () if len(near) == len(scores) else near


def search(
    retriever: Retriever, router: Router, query: str, options: Options, encoded: Encoded
) -> tuple[Found, tuple[str, ...]]:
    """Search where the router says; everything, if that looks bad. Also tells what was searched."""
    route = router.route(encoded.vector)
    found = retriever.search(query, dataclasses.replace(options, collections=route), encoded)
    said = confidence(found)
    if route and said is not None and said < THRESHOLD:
        return retriever.search(query, options, encoded), ()
    return found, route


def k_means(vectors: np.ndarray, k: int, seed: int = 0, rounds: int = 20) -> np.ndarray:
    """Centres of length 1 by spherical k-means (Dhillon and Modha 2001), begun as in k-means++."""
    random = np.random.default_rng(seed)
    centres = vectors[[random.integers(len(vectors))]]
    while len(centres) < min(k, len(vectors)):
        distance = np.clip(1 - (vectors @ centres.T).max(1), 1e-9, None)
        centres = np.concatenate(
            [centres, vectors[[random.choice(len(vectors), p=distance / distance.sum())]]]
        )
    for _ in range(rounds):
        nearest = (vectors @ centres.T).argmax(1)
        sums = np.stack(
            [
                vectors[nearest == i].sum(0) if (nearest == i).any() else centres[i]
                for i in range(len(centres))
            ]
        )
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centres


def run(settings: Settings, split: str, margins: Sequence[float]) -> dict[str, Any]:
    """Routing measured on the sample's questions whose relevant documents all lie in one collection."""
    data = dataset.read("sample", split, settings)
    retriever = dataset_service(settings, data).retriever
    questions = [each for each in data.questions if each.collection and _is_of_one(each)]
    encoded = retriever.embedder.encode([each.text for each in questions])
    names = sorted({each.collection or "" for each in questions})

    def score(question: Question, found: Found) -> float:
        return evaluate.judge(question, found).measures["rerank"][evaluate.MAIN]

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
                "difference": evaluate.difference(routed, plain),
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

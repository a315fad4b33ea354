"""Fit the confidence to collections with judgements; see how far it can be trusted on one it hasn't seen.

    $ python -m step3_rag calibrate sample my-collection/ --weights confidence.json

A search is good when one of the passages that the reader gets is relevant: holds the quoted passage, where a
collection has such quotes, or else is of a relevant document. The honest figure is leave-one-collection-out:
the weights are fitted on all collections but one, and tell good searches from bad ones on that one (AUROC:
the chance that a good search scores higher than a bad one; 0.5 is a coin). It is given for the rankings alone
and with the evaluator's judgement; beside them stands the cosine of the first hit, the usual threshold.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import picture_path, writable
from shared.stats import bootstrap
from step3_rag.evaluate import dataset, retrieval
from step3_rag.evaluate.dataset import Question, dataset_service
from step3_rag.evaluate.metrics import auroc
from step3_rag.ingest.stems import stems
from step3_rag.reflect.confidence import Fitted, Weights, evidence, judgement_of, rankings_of, save
from step3_rag.retrieve.search import Found, Options

if TYPE_CHECKING:
    from rich.console import Console

Signals = Mapping[str, float]
HOLDS = 0.8  # of a quote's stems: a chunk of a table writes its rows in its own way
RIDGE = 0.05


@dataclass(frozen=True)
class Collection:
    """The searches of one collection: their signals, and whether they were good."""

    name: str
    signals: list[dict[str, float]]  # of the rankings
    judge: list[float]  # log-odds, by the evaluator
    good: list[bool]
    kinds: list[str]
    cosine: list[float]  # of the first hit of the dense search


def is_good(question: Question, found: Found) -> bool:
    """Whether one of the passages found is relevant; never so for a question without an answer."""
    texts = [set(stems(f"{each.chunk.source} {each.chunk.text}")) for each in found.best]
    quotes = [set(stems(quote)) for quote in question.quotes]
    if quotes:
        return any(len(quote & text) >= HOLDS * len(quote) for quote in quotes for text in texts)
    return any(question.qrels.get(each.chunk.document, 0) > 0 for each in found.best)


def collect(names: Sequence[str], settings: Settings, limit: int | None) -> list[Collection]:
    """Search all questions of the collections; of the sample, those of both dev splits."""
    found = []
    for name in names:
        splits = ("dev", "kinds-dev") if name == "sample" else (None,)
        read = [dataset.read(name, split, settings) for split in splits]
        retriever = dataset_service(settings, read[0]).retriever
        questions = retrieval.draw([each for data in read for each in data.questions], limit, settings.seed)
        collection = Collection(read[0].name.split(",")[0], [], [], [], [], [])
        with count_bar(f"asking {collection.name}", len(questions)) as progress:
            for done, question in enumerate(questions):
                progress(done, len(questions))
                seen = retriever.search(question.text, Options(before=question.before))
                collection.signals.append(rankings_of(seen, retriever))
                collection.judge.append(judgement_of(seen, retriever))
                collection.good.append(is_good(question, seen))
                collection.kinds.append(question.kind)
                collection.cosine.append(max(seen.stages.get("dense", {}).values(), default=0.0))
        found.append(collection)
    return found


def fit(collections: Sequence[tuple[Sequence[Signals], Sequence[bool]]]) -> Weights:
    """Logistic regression, in two steps: what tells good from bad, then how probable good is.

    For the first, every collection counts the same, and within it the good and the bad searches: otherwise
    the weights would be those of the largest collection and of what is common. The second keeps that score
    and fits two numbers to the true shares (Platt 1999).

    Raises:
        UserError: all searches succeeded, or all failed.
    """
    from sklearn.linear_model import LogisticRegression

    names = list(collections[0][0][0])
    rows = np.array([[each[name] for name in names] for given, _ in collections for each in given])
    truth = np.array([label for _, labels in collections for label in labels])
    if truth.min() == truth.max():
        raise UserError("nothing to learn: the searches all succeeded, or all failed; add harder questions")
    even = np.concatenate([np.full(len(labels), 1 / len(labels)) for _, labels in collections])
    balanced = np.concatenate([_balanced(np.array(labels)) for _, labels in collections])
    mean, deviation = rows.mean(0), np.maximum(rows.std(0), 1e-9)
    data = (rows - mean) / deviation
    first = LogisticRegression(C=1 / (RIDGE * len(collections)), max_iter=1000).fit(data, truth, balanced)
    score = data @ first.coef_[0]
    second = LogisticRegression(C=1e3, max_iter=1000).fit(score[:, None], truth, even)
    weight = second.coef_[0, 0] * first.coef_[0]
    columns = [dict(zip(names, each.tolist(), strict=True)) for each in (mean, deviation, weight)]
    return Weights(columns[0], columns[1], columns[2], float(second.intercept_[0]))


def _balanced(labels: np.ndarray) -> np.ndarray:
    """Shares that give the good and the bad searches half of the weight each."""
    good = max(1, int(labels.sum()))
    return np.where(labels, 0.5 / good, 0.5 / max(1, len(labels) - good))


def fit_both(collections: Sequence[Collection]) -> Fitted:
    """The weights of the rankings, and those of what comes of them with the judgement."""
    rankings = fit([(each.signals, each.good) for each in collections])
    return Fitted(rankings, fit([(_evidence(rankings, each), each.good) for each in collections]))


def _evidence(rankings: Weights, own: Collection) -> list[dict[str, float]]:
    given = zip(own.signals, own.judge, strict=True)
    return [evidence(rankings.probability(signals), judge) for signals, judge in given]


def run(
    settings: Settings, names: Sequence[str], out: Path | None, picture: Path | None, limit: int | None = None
) -> dict[str, Any]:
    """Fit, measure, write the weights to `out` (if any) and draw the reliability plot.

    Raises:
        UserError: a collection can't be read, or there is nothing to learn from it.
    """
    path = picture_path("step3_rag", "calibrate", picture)
    if out:
        writable(out)
    collections = collect(names, settings, limit)
    fitted = fit_both(collections)
    rows = {each.name: _row(each, collections) for each in collections}
    of_all = [row["judged"] for row in rows.values() if row["judged"] is not None]
    facts: dict[str, Any] = {
        "command": "step3_rag calibrate",
        "collections": rows,
        "mean_auroc": statistics.mean(of_all) if of_all else None,
        "left_out": len(collections) > 1,
        "weights": {**fitted.rankings.weight, **fitted.judged.weight},
        "machine": hardware.describe(),
    }
    facts["headline"] = (
        f"AUROC {facts['mean_auroc']:.3f}" if of_all else "AUROC unknown"
    ) + f" over {len(rows)} collections"
    if out:
        save(
            fitted,
            out,
            fitted_on={name: {"n": row["n"], "good": row["good"]} for name, row in rows.items()},
            auroc={
                name: {"rankings": row["rankings"], "judged": row["judged"]} for name, row in rows.items()
            },
        )
        facts["written"] = str(out)
    draw(facts, path)
    return {**facts, "picture": str(path)}


def _row(own: Collection, collections: Sequence[Collection]) -> dict[str, Any]:
    """How well weights that have not seen a collection tell its good searches from its bad ones."""
    others = [each for each in collections if each is not own] or [own]
    try:
        fitted = fit_both(others)
    except UserError:  # the others' searches all succeeded
        fitted = fit_both(collections)
    alone = [fitted.rankings.probability(each) for each in own.signals]
    judged = [fitted.judged.probability(each) for each in _evidence(fitted.rankings, own)]
    return {
        "n": len(judged),
        "good": sum(own.good),
        "rankings": auroc(alone, own.good),
        "judged": auroc(judged, own.good),
        "interval_95": _interval(judged, own.good),
        "cosine": auroc(own.cosine, own.good),
        "near_misses": {
            name: _near_misses(said, own)
            for name, said in (("rankings", alone), ("judge", own.judge), ("judged", judged))
        },
        "alone": {name: auroc([each[name] for each in own.signals], own.good) for name in own.signals[0]}
        | {"judge": auroc(own.judge, own.good)},
        "reliability": reliability(judged, own.good),
    }


def _near_misses(said: Sequence[float], own: Collection) -> float | None:
    """AUROC of paraphrases whose passage was found against questions that only seem to have an answer."""
    kept = [
        (value, good)
        for value, good, kind in zip(said, own.good, own.kinds, strict=True)
        if (kind == "paraphrase" and good) or kind == "unanswerable"
    ]
    return auroc([value for value, _ in kept], [good for _, good in kept])


def reliability(
    probabilities: Sequence[float], truth: Sequence[bool], bins: int = 5
) -> list[dict[str, float]]:
    """Said and seen, in bins of equal size by what was said: mean probability, share that was true, n."""
    order = np.argsort(probabilities, kind="stable")
    edges = np.linspace(0, len(order), min(bins, len(order)) + 1).astype(int)
    return [
        {
            "said": float(np.mean([probabilities[i] for i in order[low:high]])),
            "seen": float(np.mean([truth[i] for i in order[low:high]])),
            "n": int(high - low),
        }
        for low, high in pairwise(edges)
    ]


def _interval(scores: Sequence[float], labels: Sequence[bool]) -> tuple[float, float] | None:
    """95 % interval of the AUROC, from resampling the bad searches, which are the fewer."""
    yes = [score for score, label in zip(scores, labels, strict=True) if label]
    no = [score for score, label in zip(scores, labels, strict=True) if not label]
    if not yes or not no:
        return None
    wins = [statistics.mean((good > bad) + 0.5 * (good == bad) for good in yes) for bad in no]
    return bootstrap(wins)


def show(facts: Mapping[str, Any], console: Console) -> None:
    """AUROC by collection, beside that of the cosine alone; the weights."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("collection", "n", "good", "cosine", "rankings", "judged", "95 %"):
        table.add_column(name, justify="left" if name == "collection" else "right", no_wrap=True)
    for name, row in facts["collections"].items():
        low, high = row["interval_95"] or (None, None)
        table.add_row(
            name,
            str(row["n"]),
            str(row["good"]),
            *(_three(row[each]) for each in ("cosine", "rankings", "judged")),
            f"{low:.2f}-{high:.2f}" if low is not None else "-",
        )
    console.print(table)
    for name, row in facts["collections"].items():
        if row["near_misses"]["judged"] is not None:
            said = ", ".join(f"{who} {_three(value)}" for who, value in row["near_misses"].items())
            console.print(f"{name}: paraphrases that were found, against near misses: {said}", soft_wrap=True)
    how = "fitted on the other collections" if facts["left_out"] else "fitted on the same questions"
    console.print(f"\nmean AUROC {_three(facts['mean_auroc'])}, {how}; {facts['machine']}", soft_wrap=True)
    weights = sorted(facts["weights"].items(), key=lambda each: -abs(each[1]))
    console.print(
        "weights: " + ", ".join(f"{name} {weight:+.2f}" for name, weight in weights), soft_wrap=True
    )
    if "written" in facts:
        console.print(f"written: {facts['written']}", soft_wrap=True)
    console.print(f"The picture: {facts['picture']}", soft_wrap=True)


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def draw(facts: Mapping[str, Any], path: Path) -> None:
    """Said against seen, for each collection as others see it."""
    os.environ["MPLBACKEND"] = "agg"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 5.0), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="tab:gray", linewidth=1, linestyle="--", label="as said")
    for name, row in facts["collections"].items():
        points = row["reliability"]
        axis.plot(
            [each["said"] for each in points],
            [each["seen"] for each in points],
            marker="o",
            label=f"{name} (n={row['n']}, AUROC {_three(row['judged'])})",
        )
    axis.set_xlabel("confidence (mean of a fifth of the questions)")
    axis.set_ylabel("share with a relevant passage among the five")
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.02)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="lower right")
    axis.set_title("Reliability on collections that the weights have not seen", fontsize=10)
    figure.savefig(path, dpi=120, format="png")

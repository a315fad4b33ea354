"""Fit the confidence to judged questions, and measure it on collections that it has not seen.

    $ python -m step3_rag calibrate sample my-collection/ --weights confidence.json

A search is good if one of the passages for the reader is relevant: it has the quoted passage if the
collection has quotes, or else it is from a relevant document. The measurement leaves one collection out: the
weights are fitted on the others, and must tell good searches from bad ones on that one. The figure is AUROC,
the chance that a good search scores higher than a bad one (0.5 is guessing), for the rankings alone and with
the judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.utils.class_weight import compute_sample_weight

from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.report.record import ensure_writable
from shared.stats import subset
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import dataset_retriever
from step3_rag.reflect.confidence import Fitted, Weights, evidence, judge_log_odds, ranking_signals, save
from step3_rag.retrieve.search import Options

Signals = Mapping[str, float]
RIDGE = 0.05


@dataclass(frozen=True)
class Collection:
    """The searches of one collection: their signals, and whether they were good."""

    name: str
    signals: list[dict[str, float]] = field(default_factory=list)  # of the rankings
    judge: list[float] = field(default_factory=list)  # the judge's log-odds
    good: list[bool] = field(default_factory=list)


def collect(names: Sequence[str], settings: Settings, limit: int | None) -> list[Collection]:
    """Search for all questions of the collections; for the sample, those of both dev splits."""
    collections = []
    for name in names:
        splits = ("dev", "kinds-dev") if name == "sample" else (None,)
        read = [dataset.read(name, split) for split in splits]
        retriever = dataset_retriever(settings, read[0])
        questions = subset([each for data in read for each in data.questions], limit, settings.seed)
        own = Collection(read[0].name.split(",")[0])
        if any(each.name == own.name for each in collections):
            raise UserError(f"two collections have the name {own.name}: give each once, or rename a folder")
        for question in track(f"asking {own.name}", questions):
            found = retriever.search(question.text, Options(before=question.before))
            own.signals.append(ranking_signals(found, retriever))
            own.judge.append(judge_log_odds(found, retriever))
            own.good.append(any(question.supported(found.best)))  # never if unanswerable
        collections.append(own)
    return collections


def fit(collections: Sequence[tuple[Sequence[Signals], Sequence[bool]]]) -> Weights:
    """Logistic regression in two steps: a score that separates good from bad, then its probability.

    In the first step, all collections count the same, and so do good and bad searches in each: otherwise the
    largest collection and the more frequent outcome would decide. The second step fits the score's scale and
    offset to the true shares (Platt 1999).

    Raises:
        UserError: all searches succeeded, or all failed.
    """
    names = list(collections[0][0][0])
    rows = np.array([[each[name] for name in names] for given, _ in collections for each in given])
    truth = np.array([label for _, labels in collections for label in labels])
    if truth.min() == truth.max():
        raise UserError("nothing to learn: the searches all succeeded, or all failed; add harder questions")
    even = np.concatenate([np.full(len(labels), 1 / len(labels)) for _, labels in collections])
    balance = even * np.concatenate([compute_sample_weight("balanced", labels) for _, labels in collections])
    mean, deviation = rows.mean(0), np.maximum(rows.std(0), 1e-9)
    data = (rows - mean) / deviation
    first = LogisticRegression(C=1 / (RIDGE * len(collections)), max_iter=1000).fit(data, truth, balance)
    score = data @ first.coef_[0]
    second = LogisticRegression(C=1e3, max_iter=1000).fit(score[:, None], truth, even)
    weight = second.coef_[0, 0] * first.coef_[0] / deviation  # for signals that are not standardized
    return Weights(
        dict(zip(names, weight.tolist(), strict=True)), float(second.intercept_[0] - weight @ mean)
    )


def fit_both(collections: Sequence[Collection]) -> Fitted:
    """The weights of the rankings, and those of their result together with the judge's."""
    rankings = fit([(each.signals, each.good) for each in collections])
    return Fitted(rankings, fit([(_evidence(rankings, each), each.good) for each in collections]))


def _evidence(rankings: Weights, own: Collection) -> list[dict[str, float]]:
    given = zip(own.signals, own.judge, strict=True)
    return [evidence(rankings.probability(signals), judge) for signals, judge in given]


def run(
    settings: Settings, names: Sequence[str], out: Path | None, limit: int | None = None
) -> dict[str, Any]:
    """Fit, measure, and write the weights to `out`, if given.

    Raises:
        UserError: a collection can't be read, or nothing can be learned from it.
    """
    if out:
        ensure_writable(out)
    collections = collect(names, settings, limit)
    fitted = fit_both(collections)
    rows = {each.name: judge(each, collections) for each in collections}
    if out:
        save(fitted, out, fitted_on=rows)
    return {
        "headline": ", ".join(f"AUROC {row['judged']} on {name}" for name, row in rows.items()),
        "tables": {"AUROC": rows},
        "note": f"fitted on {'the other collections' if len(rows) > 1 else 'the same questions'}"
        + (f"; written: {out}" if out else ""),
    }


def judge(own: Collection, collections: Sequence[Collection]) -> dict[str, Any]:
    """How well weights fitted on the other collections tell a collection's good searches from its bad ones.

    A single collection is judged by its own weights.
    """
    fitted = fit_both([each for each in collections if each is not own] or [own])
    alone = [fitted.rankings.probability(each) for each in own.signals]
    judged = [fitted.judged.probability(each) for each in _evidence(fitted.rankings, own)]
    return {
        "n": len(judged),
        "good": sum(own.good),
        "rankings": auroc(alone, own.good),
        "judged": auroc(judged, own.good),
    }


def auroc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """P(a true one scores higher than a false one), ties count half; None if all labels are equal."""
    return round(float(roc_auc_score(labels, scores)), 3) if len(set(labels)) == 2 else None

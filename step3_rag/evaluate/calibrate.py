"""Fit the confidence to judged questions, and measure it on collections that it has not seen.

    $ python -m step3_rag calibrate sample my-collection/ --weights confidence.json

Each question is searched once, and the reader chooses a sentence. It is good if it has a reference answer, or
if there are none, if its passage is relevant. *AUROC* is the chance that a good sentence scores higher than a
bad one (.5 is guessing). A logistic regression with one input turns the score into a probability (Platt 1999:
Probabilistic outputs for support vector machines); it is fitted on the other collections, and *expected* is
the share of good ones that it promises, beside the true share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.report.record import ensure_writable
from shared.stats import subset
from step3_rag.evaluate import dataset
from step3_rag.evaluate.answers import has_reference
from step3_rag.evaluate.dataset import Question, dataset_retriever
from step3_rag.evaluate.measurement import Measurement, Row
from step3_rag.evaluate.metrics import auroc
from step3_rag.reflect.confidence import Calibration, Evidence, find_evidence, save, score_of
from step3_rag.retrieve.search import SearchOptions

DEV = ("dev", "kinds-dev", "answers-dev")  # of the sample


@dataclass(frozen=True)
class Collection:
    """The questions of one collection: the reader's score, and whether its sentence is good."""

    name: str
    scores: list[float] = field(default_factory=list)
    good: list[bool] = field(default_factory=list)


def collect(names: Sequence[str], settings: Settings, limit: int | None) -> list[Collection]:
    """Ask all questions of the collections; for the sample, those of its dev splits.

    Raises:
        UserError: a collection can't be read, or two have the same name.
    """
    collections: list[Collection] = []
    for name in names:
        splits = DEV if name == "sample" else (None,)
        parts = [dataset.read(name, split) for split in splits]
        retriever = dataset_retriever(settings, parts[0])
        questions: list[Question] = []
        for part in parts:
            questions += part.questions
        own = Collection(parts[0].name.split(",")[0])
        if any(other.name == own.name for other in collections):
            raise UserError(f"two collections have the name {own.name}: give each once, or rename a folder")
        for question in track(f"asking {own.name}", subset(questions, limit, settings.seed)):
            result = retriever.search(question.text, SearchOptions(before=question.before))
            evidence = find_evidence(result, retriever)
            own.scores.append(score_of(evidence))
            own.good.append(is_good(question, evidence))
        collections.append(own)
    return collections


def is_good(question: Question, evidence: Sequence[Evidence]) -> bool:
    """Whether the best evidence answers the question."""
    if not evidence or not question.qrels:
        return False
    best = max(evidence, key=lambda one: one.score)
    if question.answers:
        return any(has_reference(best.sentence, answer) for answer in question.answers)
    return any(question.supported([best.chunk]))


def fit(collections: Sequence[Collection]) -> Calibration:
    """Logistic regression from score to probability; all collections count the same.

    Raises:
        UserError: all sentences are good, or all bad.
    """
    scores = np.concatenate([own.scores for own in collections])[:, None]  # (questions, 1)
    good = np.concatenate([own.good for own in collections])  # (questions,) bool
    if good.min() == good.max():
        raise UserError("nothing to learn: the answers are all good, or all bad; add harder questions")
    weights = np.concatenate([np.full(len(own.good), 1 / len(own.good)) for own in collections])
    regression = LogisticRegression(C=1e3, max_iter=1000).fit(scores, good, weights * len(good))
    return Calibration(float(regression.coef_[0, 0]), float(regression.intercept_[0]))


def run(settings: Settings, names: Sequence[str], out: Path | None, limit: int | None = None) -> Measurement:
    """Fit, measure, and write the calibration to `out`, if given.

    Raises:
        UserError: a collection can't be read, or nothing can be learned from it.
    """
    if out:
        ensure_writable(out)
    collections = collect(names, settings, limit)
    calibration = fit(collections)
    rows = {own.name: measure(own, collections) for own in collections}
    if out:
        save(calibration, out, fitted_on=rows)
    note = f"fitted on {'the other collections' if len(rows) > 1 else 'the same questions'}"
    if out:
        note += f"; written: {out}"
    return Measurement(
        command="step3_rag calibrate",
        headline=", ".join(f"AUROC {row['AUROC']} on {name}" for name, row in rows.items()),
        tables={"collection": rows},
        note=note,
    )


def measure(own: Collection, collections: Sequence[Collection]) -> Row:
    """A collection's figures, with a calibration fitted on the others; on itself if it is the only one."""
    others = [other for other in collections if other is not own]
    calibration = fit(others or [own])
    expected = sum(map(calibration.probability, own.scores)) / len(own.scores)
    return {
        "n": len(own.good),
        "good": sum(own.good),
        "expected": round(expected * len(own.good)),
        "AUROC": auroc(own.scores, own.good),
    }

"""Fit the confidence to collections with judgements; see how far it can be trusted on one it hasn't seen.

    $ python -m step3_rag calibrate sample my-collection/ --weights confidence.json

The honest figure is leave-one-collection-out: the weights are fitted on all collections but one, and tell
good searches from bad ones on that one (AUROC: the chance that a good search scores higher than a bad one;
0.5 is a coin). Beside it stands the cosine of the first hit alone, the usual threshold. A search is good when
one of the first five documents is relevant; questions that a collection can't answer are bad ones.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import picture_path, writable
from shared.stats import bootstrap
from step3_rag.evaluate import dataset, retrieval
from step3_rag.evaluate.dataset import dataset_service
from step3_rag.evaluate.metrics import auroc
from step3_rag.reflect import confidence
from step3_rag.retrieve.search import Options

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Collection:
    """The searches of one collection: their signals, and whether they were good."""

    name: str
    signals: list[dict[str, float]]
    good: list[bool]
    cosine: list[float]  # of the first hit of the dense search


def is_good(outcome: retrieval.Outcome) -> bool:
    """Whether one of the first five documents is relevant; never so for a question without an answer."""
    return bool(outcome.measures) and list(outcome.measures.values())[-1]["hit@5"] > 0


def collect(names: Sequence[str], settings: Settings, limit: int | None) -> list[Collection]:
    """Search all questions of the collections; of the sample, those of the dev split."""
    found = []
    for name in names:
        data = dataset.read(name, "dev" if name == "sample" else None, settings)
        service = dataset_service(settings, data)
        questions = retrieval.draw(data.questions, limit, settings.seed)
        with count_bar(f"asking {data.name}", len(questions)) as progress:
            outcomes = retrieval.ask(service.retriever, questions, Options(), progress)
        found.append(
            Collection(
                data.name,
                [each.signals for each in outcomes if each.signals],
                [is_good(each) for each in outcomes if each.signals],
                [each.cosine for each in outcomes if each.signals],
            )
        )
    return found


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
    weights = confidence.fit([(each.signals, each.good) for each in collections])
    rows = {each.name: _row(each, collections) for each in collections}
    of_all = [each for row in rows.values() for each in [row["auroc"]] if each is not None]
    facts: dict[str, Any] = {
        "command": "step3_rag calibrate",
        "collections": rows,
        "mean_auroc": statistics.mean(of_all) if of_all else None,
        "left_out": len(collections) > 1,
        "weights": weights.weight,
        "machine": hardware.describe(),
    }
    facts["headline"] = (
        f"AUROC {facts['mean_auroc']:.3f}" if of_all else "AUROC unknown"
    ) + f" over {len(rows)} collections"
    if out:
        confidence.save(
            weights,
            out,
            fitted_on={name: {"n": row["n"], "good": row["good"]} for name, row in rows.items()},
            auroc={name: row["auroc"] for name, row in rows.items()},
        )
        facts["written"] = str(out)
    draw(facts, path)
    return {**facts, "picture": str(path)}


def _row(own: Collection, collections: Sequence[Collection]) -> dict[str, Any]:
    """How well weights that have not seen a collection tell its good searches from its bad ones."""
    others = [each for each in collections if each is not own] or [own]
    try:
        weights = confidence.fit([(each.signals, each.good) for each in others])
    except UserError:  # the others' searches all succeeded
        weights = confidence.load()
    said = [weights.probability(each) for each in own.signals]
    return {
        "n": len(said),
        "good": sum(own.good),
        "auroc": auroc(said, own.good),
        "interval_95": _interval(said, own.good),
        "cosine": auroc(own.cosine, own.good),
        "alone": {name: auroc([each[name] for each in own.signals], own.good) for name in weights.weight},
        "reliability": confidence.reliability(said, own.good),
    }


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
    for name in ("collection", "n", "good", "AUROC", "95 %", "cosine alone"):
        table.add_column(name, justify="left" if name == "collection" else "right", no_wrap=True)
    for name, row in facts["collections"].items():
        low, high = row["interval_95"] or (None, None)
        table.add_row(
            name,
            str(row["n"]),
            str(row["good"]),
            _three(row["auroc"]),
            f"{low:.2f}-{high:.2f}" if low is not None else "-",
            _three(row["cosine"]),
        )
    console.print(table)
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
            label=f"{name} (n={row['n']}, AUROC {_three(row['auroc'])})",
        )
    axis.set_xlabel("confidence (mean of a fifth of the questions)")
    axis.set_ylabel("share with a relevant document in the first five")
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.02)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="lower right")
    axis.set_title("Reliability on collections that the weights have not seen", fontsize=10)
    figure.savefig(path, dpi=120, format="png")

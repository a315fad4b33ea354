"""`evaluate` as a command: the stage table of a collection, and its picture.

$ python -m step3_rag evaluate --dataset sample --split dev
$ python -m step3_rag evaluate --dataset path/to/beir-folder --out stages.png
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared import hardware
from shared.cli import plain_table
from shared.config import Settings
from shared.errors import UserError
from shared.report.record import new_figure, picture_path
from shared.stats import subset
from step3_rag.evaluate import dataset, retrieval
from step3_rag.evaluate.dataset import dataset_service
from step3_rag.evaluate.metrics import MEASURES
from step3_rag.evaluate.retrieval import MAIN, tracked
from step3_rag.options import search_options
from step3_rag.pipeline import STRATEGIES

if TYPE_CHECKING:
    from rich.console import Console


def run(
    settings: Settings,
    name: str,
    split: str | None,
    rerank: str,
    out: Path | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Search every question of a collection and measure every stage.

    Args:
        out: a file for the picture; None: among the reports.

    Raises:
        UserError: no such collection, or no question in it has a relevant document.
    """
    picture = picture_path("step3_rag", "evaluate", out)
    data = dataset.read(name, split)
    retriever = dataset_service(settings, data).retriever
    options = search_options(settings, rerank)
    questions = subset(data.questions, limit, settings.seed)
    outcomes = retrieval.ask(retriever, tracked(f"asking {data.name}", questions), options, STRATEGIES)
    if not any(each.measures for each in outcomes):
        raise UserError(f"{data.name}: none of the questions has a relevant document, so there is no ranking")
    stages = retrieval.summary(outcomes)
    last = stages["rerank" if "rerank" in stages else "fusion"]
    facts: dict[str, Any] = {
        "command": "step3_rag evaluate",
        "headline": f"nDCG@10 {last[MAIN]:.3f} on {data.name}",
        "dataset": data.name,
        "n": sum(bool(each.measures) for each in outcomes),
        "unanswerable": sum(not each.measures for each in outcomes),
        "documents": len(data.sources),
        "chunks": len(retriever.snapshot),
        "stages": stages,
        "by_kind": retrieval.by_kind(outcomes),
        "failures": retrieval.failures(outcomes, options),
        "embedder": settings.embedder,
        "machine": hardware.describe(),
        "picture": str(picture),
    }
    draw(facts, picture)
    return facts


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The stage table, the kinds of questions, what was lost where."""
    change = "nDCG@10, change and its 95% interval"
    table = plain_table("stage", *MEASURES, change, right=list(MEASURES))
    table.padding = (0, 1, 0, 0)
    for name, row in facts["stages"].items():
        table.add_row(name, *(f"{row[measure]:.3f}" for measure in MEASURES), _difference(row))
    console.print(table)
    if facts["by_kind"]:
        names = list(facts["stages"])
        kinds = plain_table("nDCG@10 by kind", "n", *names, right=["n", *names])
        kinds.padding = (0, 1, 0, 0)
        for kind, row in facts["by_kind"].items():
            kinds.add_row(kind, str(row["n"]), *(f"{row[name]:.3f}" for name in names))
        console.print()
        console.print(kinds)
    if facts["failures"]:
        console.print("\nwhere the first relevant document stood, for the worst questions", style="bold")
    for row in facts["failures"]:
        ranks = ", ".join(f"{name} {rank or 'none'}" for name, rank in row["ranks"].items())
        console.print(f"{row['question'][:100]}\n    {ranks}; lost: {row['lost']}", soft_wrap=True)
    unanswerable = f" and {facts['unanswerable']} without an answer" if facts["unanswerable"] else ""
    console.print(
        f"\n{facts['dataset']}: {facts['n']} questions{unanswerable}, {facts['documents']} documents, "
        f"{facts['chunks']} chunks; {facts['embedder']}; {facts['machine']}",
        soft_wrap=True,
    )
    console.print(f"The picture: {facts['picture']}", soft_wrap=True)


def _difference(row: Mapping[str, Any]) -> str:
    """`+0.023 (+0.015 to +0.030) over rrf`"""
    if "difference" not in row:
        return ""
    found = row["difference"]
    low, high = found["interval_95"] or (found["mean"], found["mean"])
    return f"{found['mean']:+.3f} ({low:+.3f} to {high:+.3f}) over {row['before']}"


def draw(facts: Mapping[str, Any], path: Path) -> None:
    """nDCG@10 of every stage with its interval."""
    stages = facts["stages"]
    figure = new_figure(6.0, 3.4)
    axis = figure.subplots()
    values = np.array([row[MAIN] for row in stages.values()])
    intervals = np.array([row["interval_95"] for row in stages.values()])
    axis.errorbar(values, list(stages), xerr=abs(intervals.T - values), fmt="o", capsize=3)
    for place, value in enumerate(values):
        axis.text(value, place - 0.15, f"{value:.3f}", ha="center", fontsize=8)
    axis.set_ylim(len(stages) - 0.5, -0.6)  # the first stage on top
    axis.set_xlabel("nDCG@10, 95% interval of the mean")
    axis.set_title(f"{facts['dataset']}, n={facts['n']}", fontsize=10)
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)

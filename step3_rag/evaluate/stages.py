"""`evaluate` as a command: the stage table of a collection, its picture, a CSV and a Markdown report.

$ python -m step3_rag evaluate --dataset sample --split dev
$ python -m step3_rag evaluate --dataset path/to/beir-folder --out report/
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import picture_path, writable
from step3_rag.evaluate import dataset, retrieval
from step3_rag.evaluate.dataset import dataset_service
from step3_rag.evaluate.metrics import MEASURES
from step3_rag.options import search_options
from step3_rag.pipeline import STRATEGIES

if TYPE_CHECKING:
    from rich.console import Console


def run(
    settings: Settings,
    name: str,
    split: str | None,
    rerank: str,
    out: Path | None,
    limit: int | None = None,
    ensemble: bool = False,
) -> dict[str, Any]:
    """Search every question of a collection and measure every stage.

    Args:
        out: a folder for report.md, questions.csv and stages.png; None: only a picture among the reports.
        ensemble: measure LangChain's EnsembleRetriever beside ours.

    Raises:
        UserError: no such collection, or no question in it has a relevant document.
    """
    folder = _folder(out)
    picture = folder / "stages.png" if folder else picture_path("step3_rag", "evaluate", None)
    data = dataset.read(name, split, settings)
    service = dataset_service(settings, data)
    retriever = service.retriever
    options = search_options(settings, 5, "minmax", rerank, "hybrid")
    questions = retrieval.draw(data.questions, limit, settings.seed)
    with count_bar(f"asking {data.name}", len(questions)) as progress:
        outcomes = retrieval.ask(retriever, questions, options, progress, STRATEGIES)
    if not any(each.measures for each in outcomes):
        raise UserError(f"{data.name}: none of the questions has a relevant document, so there is no ranking")
    if ensemble:
        from step3_rag.frameworks.langchain_ensemble import ensemble as make

        with count_bar("asking LangChain's EnsembleRetriever", len(questions)) as progress:
            retrieval.add(outcomes, "EnsembleRetriever", make(retriever), retriever, progress)
    table = retrieval.summary(outcomes)
    last = table["rerank" if "rerank" in table else "fusion"]
    facts: dict[str, Any] = {
        "command": "step3_rag evaluate",
        "headline": f"nDCG@10 {last[retrieval.MAIN]:.3f} on {data.name}",
        "dataset": data.name,
        "n": sum(bool(each.measures) for each in outcomes),
        "unanswerable": sum(not each.measures for each in outcomes),
        "documents": len(data.sources),
        "chunks": len(retriever.snapshot),
        "stages": table,
        "by_kind": retrieval.by_kind(outcomes),
        "milliseconds": retrieval.milliseconds(outcomes),
        "failures": retrieval.failures(outcomes, options),
        "embedder": settings.embedder,
        "machine": hardware.describe(),
    }
    draw(facts, picture)
    facts["picture"] = str(picture)
    if folder:
        _write_csv(folder / "questions.csv", retrieval.columns(outcomes))
        (folder / "report.md").write_text(as_markdown(facts), encoding="utf-8")
        facts["report"] = str(folder / "report.md")
    return facts


def _folder(out: Path | None) -> Path | None:
    if out is None:
        return None
    if out.is_file():
        raise UserError(f"--out {out} is a file: name a folder for the report, its picture and its table")
    for name in ("report.md", "questions.csv", "stages.png"):
        writable(out / name)
    return out


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The stage table, the kinds of questions, the times, what was lost where."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("stage", no_wrap=True)
    for measure in MEASURES:
        table.add_column(measure, justify="right", no_wrap=True)
    table.add_column("nDCG@10, change and its 95% interval", no_wrap=True)
    for name, row in facts["stages"].items():
        table.add_row(name, *(f"{row[measure]:.3f}" for measure in MEASURES), difference(row))
    console.print(table)
    if facts["by_kind"]:
        kinds = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
        kinds.add_column("nDCG@10 by kind", no_wrap=True)
        kinds.add_column("n", justify="right")
        names = list(facts["stages"])
        for name in names:
            kinds.add_column(name, justify="right", no_wrap=True)
        for kind, row in facts["by_kind"].items():
            kinds.add_row(kind, str(row["n"]), *(f"{row[name]:.3f}" for name in names))
        console.print()
        console.print(kinds)
    times = ", ".join(f"{name} {value:.1f}" for name, value in facts["milliseconds"].items())
    console.print(f"\nmilliseconds a question (median): {times}", soft_wrap=True)
    _show_failures(facts["failures"], console)
    unanswerable = f" and {facts['unanswerable']} without an answer" if facts["unanswerable"] else ""
    console.print(
        f"\n{facts['dataset']}: {facts['n']} questions{unanswerable}, {facts['documents']} documents, "
        f"{facts['chunks']} chunks; {facts['embedder']}; {facts['machine']}",
        soft_wrap=True,
    )
    console.print(
        f"The {'report' if 'report' in facts else 'picture'}: {facts.get('report', facts['picture'])}",
        soft_wrap=True,
    )


def difference(row: Mapping[str, Any]) -> str:
    """`+0.023 (+0.015 to +0.030) over rrf`"""
    if "difference" not in row:
        return ""
    found = row["difference"]
    spread = ""
    if found["interval_95"]:
        low, high = found["interval_95"]
        spread = f" ({low:+.3f} to {high:+.3f})"
    return f"{found['mean']:+.3f}{spread} over {row['before']}"


def _show_failures(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    if not rows:
        return
    console.print("\nwhere the first relevant document stood, for the worst questions", style="bold")
    for row in rows[:5]:
        ranks = ", ".join(f"{name} {rank or 'none'}" for name, rank in row["ranks"].items())
        console.print(f"{row['question'][:100]}\n    {ranks}; lost: {row['lost']}", soft_wrap=True)


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def as_markdown(facts: Mapping[str, Any]) -> str:
    """The report as a page."""
    lines = [
        f"# Retrieval on {facts['dataset']}",
        "",
        f"{facts['n']} questions, {facts['documents']} documents, {facts['chunks']} chunks; "
        f"embedder {facts['embedder']}; {facts['machine']}.",
        "",
        f"| stage | {' | '.join(MEASURES)} | nDCG@10, change and its 95% interval |",
        f"|---{'|---:' * len(MEASURES)}|---|",
    ]
    for name, row in facts["stages"].items():
        values = " | ".join(f"{row[measure]:.3f}" for measure in MEASURES)
        lines.append(f"| {name} | {values} | {difference(row)} |")
    lines += ["", "![nDCG@10 by stage](stages.png)", "", "## Where it failed", ""]
    lines += [
        "| question | " + " | ".join(facts["stages"]) + " | lost |",
        "|---" * (len(facts["stages"]) + 2) + "|",
    ]
    for row in facts["failures"]:
        ranks = " | ".join(str(row["ranks"].get(name) or "-") for name in facts["stages"])
        question = " ".join(row["question"].split()).replace("|", "\\|")
        lines.append(f"| {question} | {ranks} | {row['lost']} |")
    times = ", ".join(f"{name} {value:.1f}" for name, value in facts["milliseconds"].items())
    lines += ["", f"Milliseconds a question (median): {times}.", ""]
    return "\n".join(lines)


def draw(facts: Mapping[str, Any], path: Path) -> None:
    """nDCG@10 of every stage with its interval, and beside it by kind of question."""
    os.environ["MPLBACKEND"] = "agg"
    from matplotlib.figure import Figure

    stages, kinds = facts["stages"], facts["by_kind"]
    figure = Figure(figsize=(6.0 + 4.5 * bool(kinds), 3.4), layout="constrained")
    axes = figure.subplots(1, 1 + bool(kinds), squeeze=False)[0]
    values = [row[retrieval.MAIN] for row in stages.values()]
    spread = [
        [value - row["interval_95"][0] for value, row in zip(values, stages.values(), strict=True)],
        [row["interval_95"][1] - value for value, row in zip(values, stages.values(), strict=True)],
    ]
    axes[0].errorbar(values, range(len(values)), xerr=spread, fmt="o", color="tab:blue", capsize=3)
    for place, value in enumerate(values):
        axes[0].annotate(
            f"{value:.3f}", (value, place), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    axes[0].set_yticks(range(len(values)), list(stages))
    axes[0].set_ylim(len(values) - 0.5, -0.6)
    axes[0].set_xlabel("nDCG@10, 95% interval of the mean")
    axes[0].set_title(f"{facts['dataset']}, n={facts['n']}", fontsize=10)
    axes[0].grid(axis="x", alpha=0.3)
    if kinds:
        height = 0.8 / len(stages)
        for j, name in enumerate(stages):
            places = [i + (j - (len(stages) - 1) / 2) * height for i in range(len(kinds))]
            axes[1].barh(places, [row[name] for row in kinds.values()], height, label=name)
        axes[1].set_yticks(range(len(kinds)), [f"{kind} (n={row['n']})" for kind, row in kinds.items()])
        axes[1].set_ylim(len(kinds) - 0.5, -0.5)
        axes[1].set_xlabel("nDCG@10")
        axes[1].set_title("by kind of question", fontsize=10)
        axes[1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1.0))
        axes[1].grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120, format="png")

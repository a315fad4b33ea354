"""Print the results of the commands that measure (evaluate.py) as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.cli import plain_table
from step3_rag.evaluate.metrics import MEASURES

if TYPE_CHECKING:
    from rich.console import Console

Facts = Mapping[str, Any]
ANSWERS = {  # figures, and their names in the table
    "right": "right",
    "wrong": "wrong answers given",
    "citation_precision": "citation precision",
    "grounded": "grounded sentences",
    "refused": "questions without an answer refused",
}


def show_retrieval(facts: Facts, console: Console) -> None:
    """The stages, the kinds of questions, and the worst questions."""
    stages, kinds = facts["stages"], facts["by_kind"]
    rows = [
        (
            name,
            *(f"{row[measure]:.3f}" for measure in MEASURES),
            f"{_change(row['difference'])} over {row['before']}" if "before" in row else "",
        )
        for name, row in stages.items()
    ]
    columns = ("stage", *MEASURES, "nDCG@10, change and its 95% interval")
    console.print(plain_table(*columns, rows=rows, right=list(MEASURES), gap=1))
    if kinds:
        rows = [
            (kind, str(row["n"]), *(f"{row[name]:.3f}" for name in stages)) for kind, row in kinds.items()
        ]
        columns = ("n", *stages)
        console.print()
        console.print(plain_table("nDCG@10 by kind", *columns, rows=rows, right=columns, gap=1))
    if facts["failures"]:
        console.print("\nrank of the first relevant document, for the worst questions", style="bold")
    for row in facts["failures"]:
        ranks = ", ".join(f"{name} {rank or 'none'}" for name, rank in row["ranks"].items())
        console.print(f"{row['question'][:100]}\n    {ranks}", soft_wrap=True)
    unanswerable = f" and {facts['unanswerable']} without an answer" if facts["unanswerable"] else ""
    console.print(
        f"\n{facts['dataset']}: {facts['n']} questions{unanswerable}, {facts['documents']} documents, "
        f"{facts['chunks']} chunks; {facts['embedder']}; {facts['machine']}",
        soft_wrap=True,
    )


def show_answers(facts: Facts, console: Console) -> None:
    """The figures without and with abstaining, and counts by kind of question."""
    rows = [
        (name, _share(facts["always"][key]), _share(facts["abstaining"][key]))
        for key, name in ANSWERS.items()
    ]
    console.print(plain_table("", "always answers", "may abstain", rows=rows, gap=3))
    columns = ("n", "relevant found", "right", "silent")
    rows = [(kind, *map(str, row.values())) for kind, row in facts["by_kind"].items()]
    console.print()
    console.print(plain_table("kind", *columns, rows=rows, right=columns))
    model = f" by {facts['model']}" if facts["model"] else ""
    console.print(
        f"\n{facts['dataset']}: {facts['n']} questions, {facts['answerable']} with an answer; reader "
        f"{facts['reader']}{model}; silent under confidence {facts['threshold']:g}; "
        f"{facts['seconds']:.1f} s a question; {facts['machine']}",
        soft_wrap=True,
    )


def show_checks(facts: Facts, console: Console) -> None:
    """One row for each kind of text."""
    rows = [(kind, str(row["n"]), str(row["found"]), _interval(row)) for kind, row in facts["kinds"].items()]
    console.print(plain_table("kind", "n", "found", "95 %", rows=rows))


def show_calibrate(facts: Facts, console: Console) -> None:
    """The AUROC by collection."""
    rows = [
        (name, str(row["n"]), str(row["good"]), _figure(row["rankings"], 3), _figure(row["judged"], 3))
        for name, row in facts["collections"].items()
    ]
    columns = ("n", "good", "rankings", "judged")
    console.print(plain_table("AUROC", *columns, rows=rows, right=columns))
    how = "the other collections" if len(rows) > 1 else "the same questions"
    written = f"; written: {facts['written']}" if facts["written"] else ""
    console.print(f"\nfitted on {how}; {facts['machine']}{written}", soft_wrap=True)


def show_reflect(facts: Facts, console: Console) -> None:
    """nDCG@10 of the questions with a second search, and the difference over all questions."""
    rows = [
        (
            name,
            f"{row['offered']}/{facts['low']}",
            *(_figure(row[each], 3) for each in ("before", "replaced", "kept")),
            f"{_change(row['difference'], 4)}, {_up_and_down(row['difference'])}",
            _figure(row["seconds"]),
        )
        for name, row in facts["strategies"].items()
    ]
    right = ("new query", "before", "replaced", "kept", "s")
    columns = ("strategy", *right[:-1], "kept, over all questions", "s")
    console.print(plain_table(*columns, rows=rows, right=right, gap=1))
    model = f"; {facts['model']}" if facts["model"] else ""
    console.print(
        f"\nnDCG@10; {facts['dataset']}: {facts['low']} of {facts['n']} questions had a confidence under "
        f"{facts['threshold']:g}{model}; {facts['machine']}",
        soft_wrap=True,
    )


def show_route(facts: Facts, console: Console) -> None:
    """Where the questions went and how the results changed, by margin."""
    rows = [
        (
            margin,
            f"{row['right']}/{facts['n']}",
            *(str(row[each]) for each in ("to_one", "to_all", "again")),
            f"{row['searched']:.0%}",
            f"{row['difference']['mean']:+.3f}, {_up_and_down(row['difference'])}",
        )
        for margin, row in facts["margins"].items()
    ]
    columns = ("margin", "reach theirs", "to one", "to all", "asked again", "searched", "nDCG@10")
    console.print(plain_table(*columns, rows=rows, right=columns))
    console.print(f"\n{facts['dataset']}: {facts['n']} questions; {facts['machine']}", soft_wrap=True)


def show_sweep(facts: Facts, console: Console) -> None:
    """One row for each size."""
    rows = [
        (
            name,
            str(row["chunks"]),
            *(f"{hits / facts['n']:.1%}" for hits in row["hits"].values()),
            _interval(row, 1),
        )
        for name, row in facts["sizes"].items()
    ]
    budgets = next(iter(facts["sizes"].values()))["hits"]
    columns = ("size/overlap", "chunks", *(f"in {each} tokens" for each in budgets), "95%")
    console.print(plain_table(*columns, rows=rows, right=columns))
    console.print(
        f"\nshare of {facts['n']} questions whose answer is in the passages; {facts['dataset']}; "
        f"{facts['machine']}",
        soft_wrap=True,
    )


def _figure(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(row: Facts, digits: int = 0) -> str:
    low, high = row["interval_95"]
    return f"{low:.{digits}%}-{high:.{digits}%}"


def _change(found: Facts, digits: int = 3) -> str:
    """A difference as text: `+0.023 (+0.015 to +0.030)`."""
    low, high = found["interval_95"] or (found["mean"], found["mean"])
    return f"{found['mean']:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _up_and_down(found: Facts) -> str:
    return f"{found['better']} up {found['worse']} down"


def _share(value: Any) -> str:
    """A share as text, `3/4 75% (30-95)`, or a mean."""
    if not isinstance(value, dict):
        return _figure(value)
    if value["share"] is None:
        return "-"
    low, high = value["interval_95"]
    return f"{value['hits']}/{value['n']} {value['share']:.0%} ({100 * low:.0f}-{100 * high:.0f})"

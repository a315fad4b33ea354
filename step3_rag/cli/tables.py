"""Print the tables of a measurement."""

from typing import Any

from shared.cli import Console, plain_table
from shared.stats import Share, percent
from step3_rag.cli.printing import say
from step3_rag.evaluate.measurement import Difference, Measurement
from step3_rag.ingest.text import clean


def show(report: Measurement, console: Console) -> None:
    """Print the tables that have rows, and what was measured."""
    for title, table in report.tables.items():
        if not table:
            continue
        columns = list(next(iter(table.values())))
        rows = []
        for name, row in table.items():
            cells = [cell(value) for value in row.values()]
            rows.append((clean(name), *cells))
        console.print(plain_table(title, *columns, rows=rows, right=columns, gap=1))
        console.print()
    say(console, f"{report.note}; {report.machine}")


def cell(value: Any) -> str:
    """A value of a measurement: a mean as `0.500`, a share as `3/4 75% (30-95)`, a difference with counts."""
    match value:
        case None | Share(share=None):
            return "-"
        case Share():
            return f"{value.hits}/{value.n} {percent(value)}"
        case Difference():
            low, high = value.interval_95 or (value.mean, value.mean)
            return f"{value.mean:+.3f} ({low:+.3f} to {high:+.3f}), {value.better} up {value.worse} down"
        case float():
            return f"{value:.3f}"
    return str(value)

"""`evaluate --frameworks`: the tables of chapter 20."""

from shared.cli import Console, plain_table
from step3_rag.cli.printing import say
from step3_rag.evaluate.frameworks import FrameworksReport


def show(report: FrameworksReport, console: Console) -> None:
    """Print what each framework finds, how well it fuses, what it can do, and how long it takes."""
    rows = [(row.framework, f"{row.same} of {row.n}") for row in report.agreement]
    console.print(plain_table("framework", "our best five", rows=rows, right=["our best five"]))
    console.print()
    rows = [(row.mode, f"{row.first} of {row.n}", f"{row.among_five} of {row.n}") for row in report.fusion]
    columns = ("a right document is first", "among five")
    console.print(plain_table("llamaindex fuses by", *columns, rows=rows, right=columns))
    console.print()
    rows = [(row.pipeline, row.what, f"{row.done} of {row.n}") for row in report.abilities]
    console.print(plain_table("pipeline", "what it can do", "did", rows=rows, right=["did"]))
    console.print()
    rows = []
    for row in report.times:
        rows.append((row.pipeline, f"{row.median:.3f} s", f"{row.fastest:.3f} to {row.slowest:.3f} s"))
    console.print(plain_table("pipeline", "a search", "rounds", rows=rows, right=["a search", "rounds"]))
    console.print()
    say(console, f"{report.note}; {report.machine}")

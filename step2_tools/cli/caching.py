"""The command `caching`: what a prefix that requests share saves."""

from shared.cli import Console, plain_table
from shared.config import Settings
from step2_tools.cli.setup import connect, system_message, tool_definitions
from step2_tools.evaluate.caching import QUESTIONS, CachingReport, measure_caching


def measure(settings: Settings, n: int | None) -> CachingReport:
    """Measure `n` questions of each kind, or all."""
    with connect(settings) as client:
        tools = tool_definitions()
        return measure_caching(settings, client, tools, system_message(settings), n or len(QUESTIONS))


def show(report: CachingReport, console: Console) -> None:
    """One row per kind of prefix."""
    table = plain_table("", "tokens", "cached", "seconds", right=("tokens", "cached", "seconds"))
    for kind, cost in report.kinds.items():
        table.add_row(kind, f"{cost.tokens:.0f}", f"{cost.cached:.0f}", f"{cost.seconds:.1f}")
    console.print(table)

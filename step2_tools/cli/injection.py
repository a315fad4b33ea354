"""The command `injection`: how often do defences hold?"""

from shared.cli import Console, plain_table
from shared.config import Settings
from shared.stats import percent
from step2_tools.cli.setup import connect
from step2_tools.evaluate.injection import InjectionReport, measure_injection


def measure(settings: Settings, limit: int | None) -> InjectionReport:
    """Measure the defences with the settings' model, and with the worst case."""
    with connect(settings) as client:
        return measure_injection(client, settings.model, limit)


def show(report: InjectionReport, console: Console) -> None:
    """One row per defence, one column per model: the share of attacks that failed, with 95 % interval."""
    rows: dict[str, list[str]] = {}
    models = []
    for result in report.table:
        if result.model not in models:
            models.append(result.model)
        rows.setdefault(result.defence, [result.defence]).append(percent(result.held))
    console.print(plain_table(f"held, of {report.n}", *models, rows=rows.values(), right=models))
    console.print("obedient: a script that does what it is told, the worst case", style="dim")

"""The command `guard`: how many wrong replies does the guard catch, and how many right ones?"""

from shared.cli import Console, plain_table
from shared.stats import percent
from step2_tools.evaluate import guarding
from step2_tools.evaluate.guarding import GuardReport
from step2_tools.tools import build


def check() -> GuardReport:
    """Let the guard judge the labelled replies."""
    return guarding.measure(guarding.read(), build(offline=True))


def show(report: GuardReport, console: Console) -> None:
    """The shares, each with its n and its interval."""
    rows = []
    for name, value in (
        ("answers that are right before the guard", report.before),
        ("answers that are right after the guard", report.after),
        ("wrong replies that it replaced", report.caught),
        ("right replies that it replaced", report.false_alarms),
        ("swapped answers that it replaced", report.swapped),
        ("tools' own summaries that it kept", report.summaries),
    ):
        rows.append((name, str(value.n), percent(value)))
    console.print(plain_table("", "n", "share", rows=rows))

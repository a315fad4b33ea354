"""The command `optimize`: DSPy searches for better examples."""

from pathlib import Path

from shared.catalog import lookup
from shared.cli import Console, plain_table
from shared.config import Settings
from shared.stats import percent
from shared.words import count
from step2_tools import PROMPTS
from step2_tools.cli.setup import connect, tool_definitions
from step2_tools.evaluate import questions
from step2_tools.evaluate.run import PairedDifference
from step2_tools.evaluate.styles import parse_style
from step2_tools.optimize.run import OptimizeReport, optimize_prompt


def optimize(
    settings: Settings, style: str | None, limit: int | None, out: Path | None, *, keep: bool
) -> OptimizeReport:
    """Search with the defaults for the settings' model; `keep` saves without `out`, beside the old prompt."""
    is_remote = bool(settings.base_url) or lookup(settings.model).is_claude
    default_style = "zero-shot" if is_remote else "zero-shot +schema"
    start = parse_style(style or default_style)
    if out is None and keep:
        out = PROMPTS
    with connect(settings) as client:
        return optimize_prompt(
            settings,
            client,
            tool_definitions(),
            start,
            questions.read("dev"),
            questions.read("test"),
            limit,
            out=out,
            threads=4 if is_remote else 1,
        )


def show(report: OptimizeReport, console: Console) -> None:
    """Right arguments before and after on both splits, and whether the difference may be chance."""
    splits = [("dev (chosen on these)", report.dev)]
    if report.test:
        splits.append(("test (held out)", report.test))
    table = plain_table("right arguments", "n", "before", "after", right=("n", "before", "after"))
    for name, pair in splits:
        table.add_row(name, str(pair.after.n), percent(pair.before), percent(pair.after))
    console.print(table)
    if report.test:
        console.print(f"\n{_verdict(report.test)}", soft_wrap=True)
    console.print(f"\n{report.headline}", soft_wrap=True)
    how = f"{report.optimizer}; style {report.style}; {report.model}; {report.machine}"
    console.print(how, soft_wrap=True)
    if report.saved:
        console.print(f"The new version: {report.saved}", soft_wrap=True)


def _verdict(pair: PairedDifference) -> str:
    """The difference on the test questions in words; the shares are in points."""
    low, high = pair.interval_95 or (0, 0)
    verdict = "a gain" if pair.difference > 0 else "a loss"
    if pair.p >= 0.05:
        verdict = f"with {count(pair.after.n, 'question')}, this difference may be chance"
    points = f"{100 * pair.difference:+.0f} points ({100 * low:.0f} to {100 * high:.0f})"
    changes = f"on test {pair.gained} more are right and {pair.lost} no longer"
    return f"{changes}: {points}, p = {pair.p:.2g}: {verdict}"

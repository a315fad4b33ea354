"""`bench`: the loop by hand and int8 weights, timed against the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import hardware, models
from shared.cli import Console, plain_table
from step1_foundations import bench
from step1_foundations.bench import Comparison, Spread

if TYPE_CHECKING:
    from shared.config import Settings


@dataclass(frozen=True)
class BenchReport:
    """The times of both comparisons."""

    command: str
    headline: str
    model: str
    pairs: int  # timed in each comparison
    input_tokens: int
    output_tokens: int
    loops: Comparison  # `model.generate` and our loop
    int8: Comparison  # the library's default and our loop on int8 weights
    machine: str


def measure_speed(settings: Settings, pairs: int) -> BenchReport:
    """Time our loop against `model.generate`, and int8 weights against the library's default.

    Raises:
        UserError: the model is not available, or can't be quantized.
    """
    prompt = bench.benchmark_prompt(settings)
    loops = bench.compare_loops(models.load_causal_lm(settings=settings), prompt, pairs)
    int8 = bench.compare_int8(settings, prompt, pairs)
    return BenchReport(
        command="step1_foundations bench",
        headline=f"the loop by hand takes {loops.ratio.median:.2f} of generate's time, "
        f"int8 {int8.ratio.median:.2f}",
        model=settings.model,
        pairs=pairs,
        input_tokens=bench.PROMPT_TOKENS,
        output_tokens=bench.NEW_TOKENS,
        loops=loops,
        int8=int8,
        machine=hardware.describe(),
    )


def show(report: BenchReport, console: Console) -> None:
    """Seconds, ratios, and the lower bound from reading memory."""
    rows = []
    for comparison in (report.loops, report.int8):
        first, second = comparison.names
        first_bound, second_bound = comparison.memory_allows
        rows.append(time_row(first, comparison.first, first_bound))
        rows.append(time_row(second, comparison.second, second_bound))
        ratio = comparison.ratio
        rows.append(("second / first", f"{ratio.min:.2f}", f"{ratio.median:.2f}", f"{ratio.max:.2f}"))
    columns = ("min", "median", "max", "memory allows")
    console.print(plain_table("", *columns, rows=rows, right=columns))
    console.print(
        f"\n{report.pairs} pairs, {report.input_tokens} tokens in, {report.output_tokens} out; "
        f"the first two generated the same {report.loops.same_tokens} tokens\n"
        f"int8: the same text for the first {report.int8.same_tokens} of "
        f"{report.output_tokens} tokens\n{report.machine}",
        soft_wrap=True,
    )


def time_row(name: str, seconds: Spread, bound: float | None) -> tuple[str, ...]:
    """A row of the table: how long one of the two takes, and the least that memory allows."""
    times = (f"{seconds.min:.2f} s", f"{seconds.median:.2f} s", f"{seconds.max:.2f} s")
    return (name, *times, f"{bound:.2f} s" if bound else "-")

"""Runs the demo of every step that exists, in order, then says what ran and binds the report page.

$ python -m shared demo
...
step               run        seconds  figure
step1_foundations  generate       6.3  41 tokens/s ...
the page: reports/index.html
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.steps import Step, steps

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Run:
    """One command of the demo and how it went; `headline` is the figure it left behind."""

    step: str
    title: str
    seconds: float
    exit_code: int
    headline: str
    is_main: bool


def run_all(folder: Path, console: Console, *, smoke: bool = False) -> list[Run]:
    """Run each step's demo with its output on the screen; a failed run doesn't stop the others."""
    ran: list[Run] = []
    for step in steps():
        for entry in step.demo():
            ran.append(
                _run_one(step, entry["title"], entry["args"], bool(entry.get("main")), folder, console, smoke)
            )
            if ran[-1].exit_code == 130:  # Ctrl-C there is meant for the whole demo
                return ran
    return ran


def _run_one(
    step: Step, title: str, args: list[str], is_main: bool, folder: Path, console: Console, smoke: bool
) -> Run:
    args = [*args, "--smoke"] if smoke else args
    console.rule(f"[bold]{step.package}: {title}", align="left")
    console.print(
        f"$ python -m {step.package} {shlex.join(args)}", style="dim", highlight=False, markup=False
    )
    began, environment = time.time(), {**os.environ, "ROADMAP_REPORTS_DIR": str(folder)}
    sys.stdout.flush()
    process = subprocess.Popen([sys.executable, "-m", step.package, *args], env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the terminal sent it to the child too, which ends in its own way
        process.wait()
        code = 130
    records = {path.stat().st_mtime: path for path in (folder / step.package).glob(f"{args[0]}*.json")}
    fresh = code == 0 and records and max(records) >= began - 1
    headline = json.loads(records[max(records)].read_text(encoding="utf-8"))["headline"] if fresh else ""
    return Run(step.package, title, time.time() - began, code, headline, is_main)


def show(ran: list[Run], page: Path, console: Console) -> None:
    """What ran, how long it took, and the figure that each run left."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="what ran", title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("step", no_wrap=True)
    table.add_column("run", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("figure")
    for run in ran:
        ended = "stopped" if run.exit_code == 130 else f"failed with exit code {run.exit_code}"
        failed = Text(ended, "bold red")
        figure = Text(run.headline) if run.exit_code == 0 else failed
        table.add_row(
            run.step, run.title, f"{run.seconds:.1f}", figure, style="bold" if run.is_main else None
        )
    console.print()
    console.print(table)
    console.print(f"\nAll figures and pictures on one page: {page}", highlight=False, soft_wrap=True)

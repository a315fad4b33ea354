"""Runs the demo of every step, then prints a table of what ran, with the main result of each command.

$ python -m shared demo --smoke
...
step               run     seconds  result
step1_foundations  tokens      4.5  30 characters are 17 tokens: 1.76 characters per token
...
All results and pictures on one page: reports/index.html
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.steps import steps

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130  # exit code after Ctrl-C


@dataclass(frozen=True)
class Run:
    """One command of the demo and how it ended."""

    step: str
    title: str
    is_main: bool  # whether its result is the step's main one
    exit_code: int
    seconds: float
    headline: str  # of the record that the command left; empty if it left none


def run_all(folder: Path, console: Console, *, smoke: bool = False) -> list[Run]:
    """Run every step's demo commands; a command that fails does not stop the others, Ctrl-C does.

    The commands print to the terminal, and leave their records and pictures in `folder`.
    """
    runs: list[Run] = []
    for step in steps():
        for entry in step.demo():
            args = [*entry["args"], *(["--smoke"] if smoke else [])]
            console.rule(f"[bold]{step.package}: {entry['title']}", align="left")
            exit_code, seconds, headline = _run(step.package, args, folder, console)
            main = bool(entry.get("main"))
            runs.append(Run(step.package, entry["title"], main, exit_code, seconds, headline))
            if exit_code == INTERRUPTED:
                return runs
    return runs


def _run(package: str, args: list[str], folder: Path, console: Console) -> tuple[int, float, str]:
    """Exit code, seconds and headline of one command."""
    console.print(f"$ python -m {package} {shlex.join(args)}", style="dim", highlight=False, markup=False)
    sys.stdout.flush()
    began = time.time()
    environment = {**os.environ, "ROADMAP_REPORTS_DIR": str(folder)}
    process = subprocess.Popen([sys.executable, "-m", package, *args], env=environment)
    try:
        exit_code = process.wait()
    except KeyboardInterrupt:  # the terminal sent Ctrl-C to the command too: let it end
        process.wait()
        exit_code = INTERRUPTED
    records = {path.stat().st_mtime: path for path in (folder / package).glob(f"{args[0]}*.json")}
    headline = ""
    if exit_code == 0 and records and max(records) >= began - 1:  # file times may be rounded
        headline = json.loads(records[max(records)].read_text(encoding="utf-8"))["headline"]
    return exit_code, time.time() - began, headline


def show(runs: list[Run], page: Path, console: Console) -> None:
    """Print what ran, how long it took, its main result, and where the page is."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="what ran", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("step", "run", "seconds", "result"):
        table.add_column(name, no_wrap=name != "result", justify="right" if name == "seconds" else "left")
    for run in runs:
        result = Text(textwrap.shorten(run.headline, 200, placeholder=" ..."))
        if run.exit_code:
            stopped = run.exit_code == INTERRUPTED
            result = Text("stopped" if stopped else f"failed with exit code {run.exit_code}", "bold red")
        style = "bold" if run.is_main else None
        table.add_row(run.step, run.title, f"{run.seconds:.1f}", result, style=style)
    console.print()
    console.print(table)
    console.print(f"\nAll results and pictures on one page: {page}", highlight=False, soft_wrap=True)

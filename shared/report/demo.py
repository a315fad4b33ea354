"""Runs the demo of every step; the commands print to the terminal and leave their records in a folder."""

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

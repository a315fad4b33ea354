"""Runs the demo of every step; the commands print to the terminal and write their records to a folder."""

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
    """One command of the demo and its result."""

    step: str
    title: str
    exit_code: int
    seconds: float
    headline: str  # from the command's record; empty if it wrote none


def run_all(folder: Path, console: Console, *, smoke: bool = False) -> list[Run]:
    """Run every step's demo commands. A failing command doesn't stop the others, Ctrl-C does."""
    runs: list[Run] = []
    for step in steps():
        for entry in step.demo():
            args = [*entry["args"], *(["--smoke"] if smoke else [])]
            console.rule(f"{step.package}: {entry['title']}", align="left")
            console.print(f"$ python -m {step.package} {shlex.join(args)}", style="dim")
            sys.stdout.flush()
            began = time.time()
            exit_code = _run([sys.executable, "-m", step.package, *args], folder)
            records = (folder / step.package).glob("*.json")
            new = [path for path in records if path.stat().st_mtime >= began]
            headline = json.loads(new[-1].read_text(encoding="utf-8"))["headline"] if new else ""
            runs.append(Run(step.package, entry["title"], exit_code, time.time() - began, headline))
            if exit_code == INTERRUPTED:
                return runs
    return runs


def _run(command: list[str], folder: Path) -> int:
    process = subprocess.Popen(command, env={**os.environ, "ROADMAP_REPORTS_DIR": str(folder)})
    try:
        return process.wait()
    except KeyboardInterrupt:  # the terminal sent Ctrl-C to the command, too: let it end
        process.wait()
        return INTERRUPTED

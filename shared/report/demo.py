"""Runs the commands in every step's demo.toml; they print to the terminal and write records to a folder."""

import json
import multiprocessing
import os
import runpy
import shlex
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rich.console import Console

from shared.exit_code import ExitCode
from shared.steps import steps

PRELOAD = ["torch", "transformers.models.llama.modeling_llama", "anthropic"]  # 3 to 4 s of every command


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
    for package, step_folder in steps().items():
        commands = tomllib.loads((step_folder / "demo.toml").read_text(encoding="utf-8"))["run"]
        for command in commands:
            title = command["title"]
            args = command["args"]
            if smoke:
                args = [*args, "--smoke"]
            console.rule(f"{package}: {title}", align="left")
            console.print(f"$ python -m {package} {shlex.join(args)}", style="dim")
            sys.stdout.flush()
            run = _run_command(package, title, args, folder)
            runs.append(run)
            if run.exit_code == ExitCode.INTERRUPTED:
                return runs
    return runs


def _run_command(package: str, title: str, args: list[str], folder: Path) -> Run:
    """Run one command in a process of its own; its record is written to `folder`."""
    began = time.time()
    environment = {**os.environ, "ROADMAP_REPORTS_DIR": str(folder)}
    exit_code = _wait(start(run_module, [package, *args], environment, Path.cwd()))
    records = (folder / package).glob("*.json")
    new = [path for path in records if path.stat().st_mtime >= began]
    headline = ""
    if new:
        headline = json.loads(new[-1].read_text(encoding="utf-8"))["headline"]
    return Run(package, title, exit_code, time.time() - began, headline)


def start(function: Callable[..., None], *args: Any) -> BaseProcess:
    """Call a function in a new process; on Linux, in a fork of one that has imported the large libraries."""
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=function, args=args)
    process.start()
    return process


def run_module(arguments: list[str], environment: Mapping[str, str], folder: Path) -> None:
    """Run `python -m arguments` in this process, in a folder and with these environment variables only."""
    os.chdir(folder)
    os.environ.clear()  # a fork has those of the process that it is made from
    os.environ.update(environment)
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _wait(process: BaseProcess) -> int:
    """Wait for a command, and return its exit code. It gets Ctrl-C as well, and may end in its own way."""
    try:
        process.join()
    except KeyboardInterrupt:
        process.join()
        return ExitCode.INTERRUPTED
    return process.exitcode or 0

"""Draw docs/pictures/demo.svg for the README: three quick commands of `make demo` with their current output.

python -m docs.drawings.demo_terminal
"""

import os
import shlex
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "pictures" / "demo.svg"
# The step and the title of a run in its demo.toml, with the most lines of its output that are shown.
RUNS = (
    ("step1_foundations", "next", 8),
    ("step2_tools", "stock", 2),  # the next line says how long it took on this machine
    ("step3_rag", "answerable", 7),
)
COLUMNS = 113  # of the terminal: the longest command with its `$ `
WIDTH = 920  # of the picture, in pixels
LINE_HEIGHT = 17  # pixels
GREEN = "#7ee787"  # of commands
LIGHT = "#e6edf3"  # of outputs


def main() -> None:
    """Run the commands and write the picture."""
    lines = []
    for step, title, most in RUNS:
        lines += terminal_lines(command_of(step, title), most)
    FILE.write_text(terminal(lines), encoding="utf-8")


def command_of(step: str, title: str) -> str:
    """The command line of a run of the demo."""
    runs = tomllib.loads((ROOT / step / "demo.toml").read_text(encoding="utf-8"))["run"]
    [arguments] = [run["args"] for run in runs if run["title"] == title]
    return f"python -m {step} {shlex.join(arguments)}"


def terminal_lines(command: str, most: int) -> list[str]:
    """The command, at most `most` lines of its output, wrapped, and an empty line."""
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1", "ROADMAP_DTYPE": "float32"}
    arguments = [sys.executable, *shlex.split(command)[1:]]
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
    output = []
    for line in result.stdout.splitlines():
        output += textwrap.wrap(line, COLUMNS) or [""]
    if len(output) > most:
        output = [*output[:most], "..."]
    return [f"$ {command}", *output, ""]


def terminal(lines: list[str]) -> str:
    """The SVG of a dark terminal with these lines."""
    height = LINE_HEIGHT * len(lines) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" '
        'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" role="img">',
        "<title>Three quick commands of make demo and their output</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#0d1117"/>',
    ]
    y = 26  # baseline of the first line
    for line in lines:
        color = GREEN if line.startswith("$ ") else LIGHT
        parts.append(f'<text x="16" y="{y}" fill="{color}" xml:space="preserve">{escape(line)}</text>')
        y += LINE_HEIGHT
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()

"""Draw docs/pictures/demo.svg for the README: three commands of `make demo` with their current output.

python -m docs.drawings.demo_terminal
"""

import os
import shlex
import subprocess
import sys
import tempfile
import textwrap
from html import escape
from pathlib import Path

FILE = Path(__file__).parents[1] / "pictures" / "demo.svg"
# Each command with the most lines of its output that are shown.
COMMANDS = (
    ("python -m step1_foundations next 'The capital of France is' --top-k 3", 9),
    ("python -m step2_tools ask 'What is the weather in Bangkok?' --offline", 6),
    ("python -m step3_rag ask 'How many employees does the Lisbon office have?'", 8),
)
COLUMNS = 96  # of the terminal
LINE_HEIGHT = 17  # pixels
GREEN = "#7ee787"  # of commands
LIGHT = "#e6edf3"  # of outputs


def main() -> None:
    """Run the commands and write the picture."""
    lines = []
    for command, most in COMMANDS:
        lines += terminal_lines(command, most)
    FILE.write_text(terminal(lines), encoding="utf-8")


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
        output = [*output[: most - 1], "..."]
    return [f"$ {command}", *output, ""]


def terminal(lines: list[str]) -> str:
    """The SVG of a dark terminal with these lines."""
    height = LINE_HEIGHT * len(lines) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{height}" viewBox="0 0 800 {height}" '
        'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" role="img">',
        "<title>Three commands of make demo and their output</title>",
        f'<rect width="800" height="{height}" rx="8" fill="#0d1117"/>',
    ]
    y = 26  # baseline of the first line
    for line in lines:
        color = GREEN if line.startswith("$ ") else LIGHT
        parts.append(f'<text x="16" y="{y}" fill="{color}" xml:space="preserve">{escape(line)}</text>')
        y += LINE_HEIGHT
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()

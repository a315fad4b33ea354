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

COMMANDS = (
    ("python -m step1_foundations next 'The capital of France is' --top-k 3", 9),
    ("python -m step2_tools ask 'What is the weather in Bangkok?' --offline", 6),
    ("python -m step3_rag ask 'How many employees does the Lisbon office have?'", 8),
)
COLUMNS = 96
LINE_HEIGHT = 17  # pixels


def terminal_lines(command: str, most: int) -> list[str]:
    """The command and the first `most` lines of its output, wrapped."""
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1", "ROADMAP_DTYPE": "float32"}
    with tempfile.TemporaryDirectory() as folder:
        arguments = [sys.executable, *shlex.split(command)[1:]]
        result = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
    output = [part for line in result.stdout.splitlines() for part in textwrap.wrap(line, COLUMNS) or [""]]
    return [f"$ {command}", *(output[:most] if len(output) <= most else [*output[: most - 1], "..."]), ""]


def main() -> None:
    """Run the commands and write the picture."""
    lines = [line for command, most in COMMANDS for line in terminal_lines(command, most)]
    height = LINE_HEIGHT * len(lines) + 24
    texts = [
        f'<text x="16" y="{26 + LINE_HEIGHT * i}" fill="{"#7ee787" if line.startswith("$ ") else "#e6edf3"}" '
        f'xml:space="preserve">{escape(line)}</text>'
        for i, line in enumerate(lines)
    ]
    (Path(__file__).parents[1] / "pictures" / "demo.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{height}" viewBox="0 0 800 {height}" '
        'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" role="img">\n'
        "<title>Three commands of make demo and their output</title>\n"
        f'<rect width="800" height="{height}" rx="8" fill="#0d1117"/>\n' + "\n".join(texts) + "\n</svg>\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()

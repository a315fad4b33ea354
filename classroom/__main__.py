"""The classroom: make an assignment out of a step, and grade the submissions. Each command is a file of cli/.

Exit codes are those of shared/cli.py; `grade` ends with 0 whatever the score.
"""

import importlib

from classroom.cli import export
from shared.cli import new_app
from shared.launch import run

COMMANDS = ("assign", "grade", "grade_class", "defend", "verify", "levels", "demo")

app = new_app("For instructors: assign a step, grade the submissions, return feedback.")
for name in COMMANDS:
    app.command()(getattr(importlib.import_module(f"classroom.cli.{name}"), name))
app.add_typer(export.app, name="export")


def main() -> None:
    run(app, "python -m classroom")


if __name__ == "__main__":
    main()

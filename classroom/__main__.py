"""The classroom: make an assignment out of a step, and grade the submissions.

    python -m classroom assign step3 --out assignment       a folder to hand out
    python -m classroom assign step3 --check                proof that it can be solved and gives nothing away
    python -m classroom grade submission.zip --step step3   one submission, in a sandbox, with hidden tests

Each command is a file of cli/.

exit 0    it worked: for grade, whatever the score
exit 1    assign --check found something
exit 2    something that the user can correct
"""

from __future__ import annotations

import importlib

from shared.cli import new_app, run

COMMANDS = ("assign", "grade", "grade_class", "defend", "verify", "levels", "demo")

app = new_app("For instructors: assign a step, grade the submissions, return feedback.")
for name in COMMANDS:
    app.command()(getattr(importlib.import_module(f"classroom.cli.{name}"), name))


def main() -> None:
    run(app, "python -m classroom")


if __name__ == "__main__":
    main()

"""The classroom: make an assignment out of a step, grade what comes back.

    python -m classroom assign step3 --out assignment       a folder to hand out
    python -m classroom assign step3 --check                proof that it can be solved and gives nothing away
    python -m classroom grade submission.zip --step step3   one submission, in a sandbox, with hidden tests

Each command is a file of cli/. A grader that was packed for a service has some of them only.

exit 0    it worked: for grade, whatever the score
exit 1    assign --check found something
exit 2    something the user can put right
"""

from __future__ import annotations

import importlib
import importlib.util

from shared.cli import new_app, run

COMMANDS = ("assign", "grade", "grade_class", "defend", "verify", "pack", "levels", "demo")

app = new_app("For instructors: assign a step, grade what comes back, survive every submission.")
app.callback()(lambda: None)  # so that a grader whose only command is `grade` is still asked by its name
for name in COMMANDS:
    if importlib.util.find_spec(f"classroom.cli.{name}"):
        importlib.import_module(f"classroom.cli.{name}").register(app)


def main() -> None:
    run(app, "python -m classroom")


if __name__ == "__main__":
    main()

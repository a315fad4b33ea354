"""Runs inside Gradescope's container: grade the submission, and write what Gradescope reads.

    $AUTOGRADER/source/          this zip; job.json says which step, with which seed
    $AUTOGRADER/submission/      what the learner uploaded
    $AUTOGRADER/results/results.json

The format is that of https://gradescope-autograders.readthedocs.io/en/latest/specs/. Notes for the instructor
go to stdout, which learners don't see. If the grader itself fails there is no results.json, and Gradescope
says that the autograder failed: nobody gets a silent 0.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from classroom.assignment.spec import ROOT
from classroom.gradebook.attempts import only_archive
from classroom.gradebook.feedback import story
from classroom.grading.grade import grade
from classroom.grading.result import Item, Result, Test, write_whole
from shared.errors import UserError
from shared.exit_code import ExitCode

HOME = "/autograder"


def results(result: Result) -> dict[str, Any]:
    """What Gradescope reads: a line for each test, with what its learner may see."""
    lines = []
    for item in result.items:
        for number, test in enumerate(item.tests, 1):
            lines.append(_line(item, number, test))
    unreadable = [note for note in result.notes if note.startswith("nothing could be read: ")]
    return {
        "output": "\n".join(unreadable),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "execution_time": round(result.seconds),
        "tests": lines,
    }


def _line(item: Item, number: int, test: Test) -> dict[str, Any]:
    passed = test.status == "passed"
    return {
        "number": f"{item.id}.{number}",
        "name": f"{item.title}: {test.line} ({test.visibility})",
        "score": test.score,
        "max_score": test.points,
        "status": "passed" if passed else "failed",
        "output": "" if passed else story(test),
        "output_format": "text",
        "visibility": "visible",
    }


def main() -> None:
    """Grade the submission of this container."""
    home = Path(os.environ.get("AUTOGRADER", HOME))
    job = json.loads((ROOT / "job.json").read_text("utf-8"))
    submission = only_archive(home / "submission")
    try:
        result = grade(submission, job["step"], job["seed"], job["variants"], seconds=job["seconds"])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    for note in result.notes:
        print(f"note: {note}")
    print(f"{result.score} of {result.points} points, isolation {result.isolation}, seed {result.seed}")
    if any(test.status == "broken" for item in result.items for test in item.tests):
        print("error: the grader failed in a test (see the notes), so there is no result", file=sys.stderr)
        sys.exit(ExitCode.FAILED)
    text = json.dumps(results(result), ensure_ascii=False, indent=1) + "\n"
    write_whole(home / "results" / "results.json", text)


if __name__ == "__main__":
    main()

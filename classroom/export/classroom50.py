"""An assignment for Classroom 50, which followed GitHub Classroom: a template repository and an autograder.

    files(assignment("step3"), variant=0)      by path

    template/                           the starter, without a workflow: Classroom 50 adds its own
    autograders/step3/autograder.py     runs the public tests, writes result.json
    autograders/step3/starter.zip       the starter again: tests that a learner can't have changed
    runtime.json  CLASSROOM50.md

The format is that of https://github.com/foundation50/classroom50/wiki/Advanced-Autograding. Autograders are
published on GitHub's pages, so they hold public tests only.
"""

import json

from classroom.assignment.spec import Assignment
from classroom.export.rendering import render, zipped
from classroom.handout.starter import starter

RUNTIME = {"runs-on": "ubuntu-latest", "python": "3.12"}


def files(a: Assignment, variant: int) -> dict[str, bytes]:
    """Everything in the folder, by path.

    Raises:
        UserError: a marker is wrong, or this is no clone of the repository.
    """
    given = starter(a, variant)
    grading = f"autograders/{a.number}"
    public = sum(mark.points for exercise in a.exercises for mark in exercise.public)
    made = {f"template/{name}": content for name, content in given.items()}
    made[f"{grading}/autograder.py"] = render("autograder.py", a=a, files=json.dumps(list(a.files)))
    made[f"{grading}/starter.zip"] = zipped(given)
    made["runtime.json"] = (json.dumps(RUNTIME, indent=1) + "\n").encode()
    made["CLASSROOM50.md"] = render("CLASSROOM50.md", a=a, public=public)
    return made

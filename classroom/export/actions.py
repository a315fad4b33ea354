"""A template repository for GitHub: the starter, and a workflow that runs the public tests on every push.

files(assignment("step3"), variant=0)      by path; no hidden test and no solution is among them
"""

from classroom.assignment.spec import Assignment
from classroom.export.rendering import render
from classroom.handout.starter import starter

WORKFLOW = ".github/workflows/check.yml"


def files(a: Assignment, variant: int) -> dict[str, bytes]:
    """Everything in the repository, by path.

    Raises:
        UserError: a marker is wrong, or this is no clone of the repository.
    """
    return starter(a, variant) | {WORKFLOW: render("check.yml", a=a)}

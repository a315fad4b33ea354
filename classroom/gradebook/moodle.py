"""Scores for Moodle: the assignment's grading worksheet, as "Upload grading worksheet" takes it.

    Identifier,Full name,Email address,Grade,Maximum grade,Last modified (grade)
    Participant 123,Ada Lovelace,,93,100,

Source: mod/assign/feedback/offline/importgradeslib.php of moodle/moodle. Found there: Identifier, Grade and
"Last modified (grade)" must be there, in the site's language (this is English); learners are looked up by the
number behind "Participant", which stands in the names of the folders that "Download all submissions" makes.
For learners without that number, map the file by name or address in Grades > Import instead.

One row for each learner, as for Canvas. Whoever has to be looked at by hand is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from classroom.gradebook.table import Graded, counted_attempts

HEADER = ("Identifier", "Full name", "Email address", "Grade", "Maximum grade", "Last modified (grade)")


def rows(graded: Sequence[Graded], points: int, take: str) -> list[list[object]]:
    """All rows of the file."""
    learners: list[list[object]] = [
        [
            f"Participant {each.attempt.moodle_id}" if each.attempt.moodle_id else "",
            each.attempt.name,
            each.attempt.login,
            each.result.score,
            points,
            "",
        ]
        for each in counted_attempts(graded, take)
        if not each.by_hand
    ]
    return [[*HEADER], *learners]

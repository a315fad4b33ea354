"""Scores for the gradebooks of Canvas ("Import grades") and Moodle ("Upload grading worksheet").

    Student,ID,SIS Login ID,Section,Retrieval
    Points Possible,,,,100
    Ada Lovelace,123,,,93

    Identifier,Full name,Email address,Grade,Maximum grade,Last modified (grade)
    Participant 123,Ada Lovelace,,93,100,

Canvas: lib/gradebook_importer.rb of instructure/canvas-lms. The header has Student and ID, then SIS Login ID,
and Section last of those; a row with `Points Possible` in front holds no learner; learners are looked up by
ID, then by name as it stands in Canvas; an assignment is found by `Title (id)` or by its title,
else made; an empty cell changes nothing.

Moodle: mod/assign/feedback/offline/importgradeslib.php of moodle/moodle. Identifier, Grade and "Last modified
(grade)" must be there, in the site's language (this is English); learners are looked up by the number behind
"Participant", which stands in the names of the folders that "Download all submissions" makes. For learners
without that number, map the file by name or address in Grades > Import instead.

One row for each learner, of the best or the latest attempt. Whoever has to be looked at by hand gets no score
here, so that an import leaves the one that is there. Late ones have theirs: the policy is the course's.
"""

from __future__ import annotations

from collections.abc import Sequence

from classroom.gradebook.table import Graded, counted_attempts

CANVAS = ("Student", "ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Email address", "Grade", "Maximum grade", "Last modified (grade)")


def canvas(graded: Sequence[Graded], title: str, points: int, take: str) -> list[list[object]]:
    """All rows for Canvas. `title` is the assignment's there, or `Title (id)`."""
    rows: list[list[object]] = [[*CANVAS, title], ["Points Possible", "", "", "", points]]
    for each in counted_attempts(graded, take):
        who, score = each.attempt, None if each.by_hand else each.result.score
        rows.append([who.name, who.canvas_id, "", "", score])
    return rows


def moodle(graded: Sequence[Graded], points: int, take: str) -> list[list[object]]:
    """All rows for Moodle."""
    rows: list[list[object]] = [[*MOODLE]]
    for each in counted_attempts(graded, take):
        who = each.attempt
        number = f"Participant {who.moodle_id}" if who.moodle_id else ""
        if not each.by_hand:
            rows.append([number, who.name, "", each.result.score, points, ""])
    return rows

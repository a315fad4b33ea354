"""Scores for Canvas's gradebook: the file that "Import grades" takes.

    Student,ID,SIS Login ID,Section,Retrieval
    Points Possible,,,,100
    Ada Lovelace,123,ada@school.example,,93

Source: lib/gradebook_importer.rb of instructure/canvas-lms. Found there: the header has Student and ID, then
SIS Login ID, and Section last of those; a row with `Points Possible` in front holds no learner; learners are
looked up by ID, by login, then by name as it stands in Canvas, and those that are not found are asked for;
an assignment is found by `Title (id)` or by its title, else made; an empty cell changes nothing.

One row for each learner, of the best or the latest attempt. Whoever has to be looked at by hand has no score
here, so that the import leaves the one in Canvas as it is. Late ones have theirs: the policy is Canvas's.
"""

from __future__ import annotations

from collections.abc import Sequence

from classroom.gradebook.table import Graded, counted_attempts

HEADER = ("Student", "ID", "SIS Login ID", "Section")
POINTS = "Points Possible"


def rows(graded: Sequence[Graded], title: str, points: int, take: str) -> list[list[object]]:
    """All rows of the file. `title` is the assignment's in Canvas, or `Title (id)`."""
    learners: list[list[object]] = [
        [
            each.attempt.name,
            each.attempt.canvas_id,
            each.attempt.login,
            "",
            None if each.by_hand else each.result.score,
        ]
        for each in counted_attempts(graded, take)
    ]
    return [[*HEADER, title], [POINTS, "", "", "", points], *learners]

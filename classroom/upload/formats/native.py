"""The whole result as JSON: for instructors, and for programs that come after.

    {"schema": "classroom/result/v1", "score": 3, "points": 10, "step": "step3_rag", ...}

It holds the seed, the isolation, notes, what the submission printed and what hidden tests were called with,
so it is not for learners. Schema: upload/schemas/json.json.
"""

from __future__ import annotations

from typing import Any

from classroom.grading.result import Result
from classroom.intake.harmless import harmless
from classroom.upload.formats.view import to_json


def render(result: Result) -> str:
    """`Result.from_dict(json.loads(...))` gives the result back."""
    return to_json(_cleaned(result.to_dict()))


def _cleaned(value: Any) -> Any:
    """Every text made harmless, names of folders and files included; what has been so stays as it is."""
    if isinstance(value, str):
        return harmless(value, len(value) + 1)
    if isinstance(value, dict):
        return {name: _cleaned(each) for name, each in value.items()}
    return [_cleaned(each) for each in value] if isinstance(value, (list, tuple)) else value

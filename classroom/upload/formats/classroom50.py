"""Classroom 50's `result.json`, schema `classroom50/result/v1`.

    {"schema": "classroom50/result/v1", "classroom": "cs-1", "assignment": "rag", "score": 3, "max-score": 10,
     "tests": [{"test-name": "...", "passed": true, "score": 3, "max-score": 3}, ...], ...}

Source: foundation50/classroom50: the wiki page Advanced-Autograding, schemas/result-v1.schema.json, and
`validate_result` in the runner.py of its skeleton. Found there: the runner hands an autograder its names in
the environment (CLASSROOM, ASSIGNMENT, ASSIGNMENT_TYPE, OWNER, SUBMISSION_TAG, COMMIT_URL, RELEASE_URL,
REVIEW_URL) and refuses a result in which they differ; `submission` begins with `submit/`; scores are whole
numbers; fields of one's own are allowed in a test, and nowhere else; the runner sets owner, type and times
itself. The result is published as a release of the learner's repository, so it holds what learners may see.
A `release-body.md` beside it becomes the text of the release.

Outside of that runner the names are stand-ins: the step, the submission, `local`.
Schema: upload/schemas/classroom50.json.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import Any

from classroom.grading.result import Item, Result, Test
from classroom.upload.formats import view

SCHEMA = "classroom50/result/v1"
TYPES = ("individual", "group", "team")


def render(result: Result) -> str:
    """The text of result.json."""
    started = _instant(result.started)
    tag = _given("SUBMISSION_TAG") or f"submit/{started.replace(':', '-')}-local"
    commit = _given("COMMIT_URL") or tag
    kind = _given("ASSIGNMENT_TYPE")
    return view.to_json(
        {
            "schema": SCHEMA,
            "classroom": _given("CLASSROOM") or "local",
            "assignment": _given("ASSIGNMENT") or result.step or "step",
            "assignment_type": kind if kind in TYPES else TYPES[0],
            "owner": _given("OWNER") or _given("USERNAME") or view.line(result.submission) or "unknown",
            "submission": tag,
            "commit": commit,
            "release": _given("RELEASE_URL") or tag,
            "review": _given("REVIEW_URL") or commit,
            "datetime": started,
            "graded_at": started,
            "score": result.score,
            "max-score": result.points,
            "tests": [_test(item, test) for item, test in view.tests(result)],
        }
    )


def _test(item: Item, test: Test) -> dict[str, Any]:
    return {
        "test-name": view.line(f"{item.id} {view.name(test)}"),
        "passed": test.status == "passed",
        "score": test.score,
        "max-score": test.points,
        "output": view.feedback(test),
    }


def _given(name: str) -> str:
    return os.environ.get(name, "").strip()


def _instant(text: str) -> str:
    """ISO 8601 in any form as `2026-06-01T14:32:01Z`; the beginning of time where it is none."""
    try:
        moment = datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))
    except ValueError:
        moment = datetime.fromtimestamp(0, UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

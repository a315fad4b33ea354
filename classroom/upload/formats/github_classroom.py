"""What GitHub Classroom's autograding reporter took: JSON in base64, the output `result` of a runner step.

    {"version": 1, "status": "fail", "max_score": 10,
     "tests": [{"name": "...", "status": "pass", "score": 3, "message": "", "test_code": "...",
                "filename": "", "line_no": 0, "duration": 12}, ...]}

Source: classroom-resources/autograding-grading-reporter (src/main.js, src/notify-classroom.js, README.md) and
the runner autograding-command-grader (src/main.js). Found there: the reporter reads <RUNNER>_RESULTS from its
environment, decodes base64 and parses JSON; `max_score` and the sum of the tests' `score` are the points; a
status of fail or error, of the whole, fails the job; name, status, message and test_code are printed to the
log; duration is in milliseconds. GitHub Classroom was retired in August 2026: this is for courses that kept
the reporter.

Schema, of what is in the base64: upload/schemas/github-classroom.json.
"""

from __future__ import annotations

import base64
from typing import Any

from classroom.grading.result import Item, Result, Test
from classroom.upload.formats import exercism, view


def render(result: Result) -> str:
    """Base64 on one line."""
    tests = [_test(item, test) for item, test in view.tests(result)]
    status = exercism.overall([test["status"] for test in tests])
    made = {"version": 1, "status": status, "max_score": result.points, "tests": tests}
    return base64.b64encode(view.to_json(made, indent=None).encode()).decode() + "\n"


def _test(item: Item, test: Test) -> dict[str, Any]:
    return {
        "name": view.line(f"{view.title(item)}: {view.name(test)}"),
        "status": exercism.status_of(test),
        "score": test.score,
        "message": view.feedback(test),
        "test_code": exercism.code_of(test),
        "filename": "",
        "line_no": 0,
        "duration": round(test.seconds * 1_000),
    }

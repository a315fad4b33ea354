"""CodeGrade AutoTest V2: messages for its structured output, one line each.

    {"tag":"unit-test","results":[{"id":"3.1","name":"3.1 Fusion by ranks","weight":"10","testCases":[...]}]}
    {"tag":"points","points":"3/10"}

Source: https://www.codegrade.com/blog/how-to-use-custom-test-blocks and CodeGrade's own plugin for pytest
(PyPI, cg-pytest-reporter, plugin.py). Found there: the script of a Custom Test writes messages to file
descriptor 3; the one tagged `points` gives the score, a number from 0 to 1 or a fraction as text; those
tagged `unit-test` hold suites of cases with status success, failure or skipped, a weight, a description and
a reason. ASCII without spaces, as the plugin does, since the length of a message is counted in bytes; no
figure for the longest one was found, so each exercise is a message of its own.

A case's weight is its share of the suite, the suite's its points: their product is what it is worth.
Nothing is `skipped`: what is skipped doesn't count. AutoTest V1's Unit Test reads JUnit XML, and junit.xml
is such, but there every test counts the same. Schema, of a line: upload/schemas/codegrade.json.
"""

from __future__ import annotations

import json
from typing import Any

from classroom.grading.result import Item, Result, Test
from classroom.upload.formats import view


def render(result: Result) -> str:
    """The lines."""
    messages: list[dict[str, Any]] = [
        {"tag": "unit-test", "results": [_suite(item)]} for item in result.items
    ]
    points = f"{result.score}/{result.points}" if result.points else "0"
    messages.append({"tag": "points", "points": points})
    return "".join(json.dumps(message, separators=(",", ":")) + "\n" for message in messages)


def _suite(item: Item) -> dict[str, Any]:
    cases = [_case(test, item.points) for test in item.tests]
    return {"id": item.id, "name": view.title(item), "weight": str(item.points), "testCases": cases}


def _case(test: Test, of: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": view.name(test),
        "status": "success" if test.status == "passed" else "failure",
        "description": f"{test.score} of {test.points} points",
        "weight": f"{test.points}/{of}",
    }
    told = view.feedback(test)
    return {**made, "reason": told} if told else made

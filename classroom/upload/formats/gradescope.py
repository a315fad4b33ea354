"""Gradescope's `results.json`.

    {"score": 3, "output": "3 of 10 points\\n...", "output_format": "text", "stdout_visibility": "hidden",
     "tests": [{"name": "...", "number": "3.1.1", "score": 3, "max_score": 3, "visibility": "visible", ...}]}

Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/, which is docs/specs.md of
gradescope/autograder_samples. Found there: everything is optional but a score, at the top or in each test;
four visibilities (hidden, after_due_date, after_published, visible); five formats of text, of which `text`
is the only one that renders nothing, while the default at the top is `simple_format`, which takes HTML: so
`text` is said everywhere. With hidden tests around, learners may not see their total: the output at the top
tells it.

public          visible
after_due_date  after_due_date
hidden          hidden: the box of the test is the instructors'; its points and what went wrong stand in the
                output at the top, which learners see

Unsafe isolation, notes and what the submission printed are a hidden test without points.
Schema: upload/schemas/gradescope.json.
"""

from __future__ import annotations

import json
from typing import Any

from classroom.grading.result import Item, Result, Test
from classroom.upload.formats import view

VISIBILITY = {"public": "visible", "after_due_date": "after_due_date", "hidden": "hidden"}


def render(result: Result) -> str:
    """The text of results.json."""
    tests = [
        _test(item, number, test) for item in result.items for number, test in enumerate(item.tests, start=1)
    ]
    told = {
        "score": result.score,
        "execution_time": round(result.seconds, 3),
        "output": _output(result),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "stdout_visibility": "hidden",
        "extra_data": {
            "step": result.step,
            "points": result.points,
            "seed": result.seed,
            "variant": result.variant,
            "started": result.started,
        },
        "tests": tests + _for_instructors(result),
    }
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def _test(item: Item, number: int, test: Test) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": view.line(f"{view.title(item)}: {view.name(test)}"),
        "number": f"{item.id}.{number}",
        "score": test.score,
        "max_score": test.points,
        "status": "passed" if test.status == "passed" else "failed",
        "visibility": VISIBILITY.get(test.visibility, "hidden"),
        "tags": [item.id],
    }
    told = view.story(test)
    if test.status == "broken" and test.visibility == "hidden":
        told += f"\n{view.lines(test.cause)}"
    return {**made, "output": told} if told else made


def _output(result: Result) -> str:
    """The points, and of hidden tests what their boxes don't show to learners."""
    waiting = any(test.visibility == "after_due_date" for _, test in view.tests(result))
    told = [] if waiting else [view.total(result)]
    for item in result.items:
        hidden = [view.entry(test) for test in item.tests if test.visibility == "hidden"]
        told += [view.title(item), *hidden] if hidden else []
    return "\n".join(told)


def _for_instructors(result: Result) -> list[dict[str, Any]]:
    told = [view.lines(note) for note in result.notes]
    if not result.safe:
        told.insert(0, f"UNSAFE: graded under {result.isolation}, which does not hold strangers' code")
    if result.output.strip():
        told.append(f"The submission printed:\n{view.lines(result.output)}")
    if not told:
        return []
    return [
        {"name": "For instructors", "visibility": "hidden", "status": "passed", "output": "\n".join(told)}
    ]

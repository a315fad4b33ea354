"""Coursera's `feedback.json`, and the `htmlFeedback.html` that it points to.

    {"fractionalScore":0.3,"feedback":"3 of 10 points\\n...","feedbackType":"HTML"}

Source: coursera/programming-assignments-demo, custom-graders/v2/README.md, and the check in
coursera/coursera_autograder, commands/grade.py. Found there: both are written to /shared/;
`fractionalScore` is a number from 0 to 1 and no boolean; `feedback` must be there; with `feedbackType` HTML
(or TXT) learners see htmlFeedback.html (txtFeedback.txt) and no longer `feedback`. The SDK's local check
parses the last line of what the grader prints, so this is one line.

Schema: upload/schemas/coursera.json.
"""

from __future__ import annotations

from html import escape

from classroom.grading.result import Item, Result, Test
from classroom.upload.formats import view


def render(result: Result) -> str:
    """The text of feedback.json, one line."""
    fraction = result.score / result.points if result.points else 0.0
    made = {"fractionalScore": fraction, "feedback": view.plain(result), "feedbackType": "HTML"}
    return view.to_json(made, indent=None)


def page(result: Result) -> str:
    """The text of htmlFeedback.html: a table, and what went wrong below it. No scripts, styles or links."""
    rows = "".join(
        f"<tr><td>{escape(view.title(item))}</td><td>{item.score} of {item.points}</td>"
        f"<td>{escape(item.status)}</td></tr>\n"
        for item in result.items
    )
    told = "".join(_item(item) for item in result.items if item.status != "passed")
    return (
        f'<!doctype html>\n<meta charset="utf-8">\n<h1>{view.total(result)}</h1>\n'
        f"<table>\n<tr><th>Exercise</th><th>Points</th><th>Status</th></tr>\n{rows}</table>\n{told}"
    )


def _item(item: Item) -> str:
    return f"<h2>{escape(view.title(item))}</h2>\n" + "".join(map(_test, item.tests))


def _test(test: Test) -> str:
    told = view.feedback(test)
    head = f"<p>{test.score}/{test.points} {escape(view.name(test))}</p>\n"
    return head + (f"<pre>{escape(told)}</pre>\n" if told else "")

"""Exercism's `results.json`, test runner interface version 3.

    {"version": 3, "status": "fail", "message": null,
     "tests": [{"name": "...", "status": "pass", "task_id": 1, "test_code": "..."}, ...]}

Source: exercism/docs, building/tooling/test-runners/interface.md, and the page of that name on
exercism.org. Found there: pass, fail or error, for the whole and for each test; error for the whole only
where all tests errored, and then with a message of at most 65,535 characters; tests in the order of their
file; `task_id` is the number of a task's heading; `test_code` is what was run; `output` is what the learner
printed, 500 characters at most. What a submission printed is not kept by test, so it stands with the first
that didn't pass.

passed -> pass; failed, not attempted, blocked -> fail; timed out, crashed, broken -> error
Schema: upload/schemas/exercism.json.
"""

from __future__ import annotations

from typing import Any

from classroom.grading.result import Item, Result, Test
from classroom.upload.formats import view

STATUS = {"passed": "pass", "failed": "fail", "not attempted": "fail", "blocked": "fail"}
OUTPUT = 500


def render(result: Result) -> str:
    """The text of results.json."""
    tests = [_test(item, test) for item, test in view.tests(result)]
    status = overall([test["status"] for test in tests])
    printed = view.printed(result, OUTPUT)
    if printed:
        shown = next((test for test in tests if test["status"] != "pass"), tests[0])
        shown["output"] = printed
    message = None
    if status == "error":
        message = next((test["message"] for test in tests if test["message"]), "no test was run")
    return view.to_json({"version": 3, "status": status, "message": message, "tests": tests})


def status_of(test: Test) -> str:
    """pass, fail or error."""
    return STATUS.get(test.status, "error")


def overall(statuses: list[str]) -> str:
    """pass where all are, error where all are or there is none."""
    if all(status == "error" for status in statuses):
        return "error"
    return "pass" if all(status == "pass" for status in statuses) else "fail"


def code_of(test: Test) -> str:
    """The rubric line as a comment, and the calls that went wrong where learners may see them."""
    shown = test.status != "broken" and test.visibility != "after_due_date"
    calls = [view.line(call.call) for call in test.calls[: view.CALLS]] if shown else []
    return "\n".join([f"# {view.name(test)}", *calls])


def _test(item: Item, test: Test) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": view.line(f"{view.title(item)}: {view.name(test)}"),
        "status": status_of(test),
        "message": view.feedback(test) or None,
        "test_code": code_of(test),
    }
    number = item.id.rpartition(".")[2]
    return {**made, "task_id": int(number)} if number.isdecimal() and int(number) else made

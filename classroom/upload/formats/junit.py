"""JUnit XML: a test suite for each exercise, a test case for each test.

    <testsuites name="step3_rag ada" tests="2" failures="1" errors="0" time="0.1">
      <testsuite name="3.1 Fusion by ranks" tests="2" failures="1" errors="0" skipped="0" time="0.1" ...>
        <testcase classname="step3_rag.3.1" name="Any number of rankings ... (0/7)" time="0.08">
          <failure message="..." type="failed">...</failure>

Source: there is no specification. This is what Jenkins' schema (jenkinsci/xunit-plugin, junit-10.xsd) and
testmoapp/junitxml have in common, and what CodeGrade's published reader of such files asks for: `name`,
`classname` and `time` on each case, its result as the first child, no properties, and counts that are right.
failed, not attempted, blocked -> failure; timed out, crashed, broken -> error. Nothing is `skipped`, which
many readers count as fine. Points have no place in JUnit but the name. CI logs are open to learners, so this
holds what they may see. `harmless` leaves no character that XML can't hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from classroom.grading.result import Item, Result, Test
from classroom.upload.formats import view

TAGS = {"failed": "failure", "not attempted": "failure", "blocked": "failure"}  # of others: error


def render(result: Result) -> str:
    """The text of junit.xml."""
    name = f"{result.step} {view.line(result.submission)}"
    every = [test for _, test in view.tests(result)]
    root = ET.Element("testsuites", {"name": name, **_counts(every)})
    for item in result.items:
        root.append(_suite(item, result))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, "unicode")}\n'


def _suite(item: Item, result: Result) -> ET.Element:
    fields = {"id": item.id, "name": view.title(item), **_counts(item.tests), "skipped": "0"}
    suite = ET.Element("testsuite", {**fields, "timestamp": result.started})
    suite.extend(_case(test, f"{result.step}.{item.id}") for test in item.tests)
    return suite


def _case(test: Test, place: str) -> ET.Element:
    name = f"{view.name(test)} ({test.score}/{test.points})"
    case = ET.Element("testcase", {"classname": place, "name": name, "time": _time(test.seconds)})
    if test.status != "passed":
        told = view.feedback(test)
        wrong = ET.SubElement(
            case, TAGS.get(test.status, "error"), {"message": view.line(told), "type": test.status}
        )
        wrong.text = told
    return case


def _counts(tests: Sequence[Test]) -> dict[str, str]:
    tags = [TAGS.get(test.status, "error") for test in tests if test.status != "passed"]
    return {
        "tests": str(len(tests)),
        "failures": str(tags.count("failure")),
        "errors": str(tags.count("error")),
        "time": _time(sum(test.seconds for test in tests)),
    }


def _time(seconds: float) -> str:
    return f"{max(seconds, 0.0):.3f}"

"""What learners may see of a result, as plain text. All formats that may reach them take it from here.

      3/3 Two short rankings are fused by rank.
      0/7 Any number of rankings that share candidates, with any k.
          failed: at ['rub']: 0.0322
          rrf([{'rub': 0.12, 'sun': 0.4}], k=3)
          came: {'rub': 0.0322}

What was expected is shown of public tests and of no others, whatever the result holds. Of tests that wait for
a due date come the points, and the feedback only from a grader that knows the date. What the submission
printed is shown where all tests are public: else it may have printed what hidden ones passed to it. Notes,
the seed and the isolation are the instructors'.

Text is bounded, and cleaned once more by `harmless`; it is not escaped: each format does that in its own way.
"""

from __future__ import annotations

from collections.abc import Iterator

from classroom.grading.result import Item, Result, Test
from classroom.intake.harmless import harmless

CALLS = 3  # of those that went wrong in a test
CAUSE = 1_000  # characters
VALUE = 300  # of a call, and of what came
LATER = "the feedback is shown after the due date"
BROKEN = "the test itself broke, which is no fault of yours: please tell your instructor"


def line(text: str, limit: int = VALUE) -> str:
    """Text on one line."""
    return harmless(" ".join(harmless(text).split()), limit)


def lines(text: str, limit: int = CAUSE) -> str:
    """Text on as many lines as it has."""
    return harmless(text, limit).strip()


def title(item: Item) -> str:
    """`3.1 Fusion by ranks`."""
    return line(f"{item.id} {item.title}")


def name(test: Test) -> str:
    """The rubric line, which is what a test is called everywhere."""
    return line(test.line) or line(test.name) or "a test"


def tests(result: Result) -> Iterator[tuple[Item, Test]]:
    """All tests in order, each with its exercise."""
    return ((item, test) for item in result.items for test in item.tests)


def feedback(test: Test) -> str:
    """What went wrong in a test, as far as learners may know now; nothing where all is right."""
    if test.status != "passed" and test.visibility == "after_due_date":
        return LATER
    return story(test)


def story(test: Test) -> str:
    """What went wrong in a test, as far as learners may ever know."""
    if test.status == "passed":
        return ""
    if test.status == "broken":
        return BROKEN
    cause = lines(test.cause)
    told = [f"{test.status}: {cause}" if cause else test.status]
    for call in test.calls[:CALLS]:
        told += [line(call.call), f"came: {line(call.got)}"]
        if test.visibility == "public" and call.expected is not None:
            told.append(f"expected: {line(call.expected)}")
    return "\n".join(told)


def printed(result: Result, limit: int) -> str:
    """The end of what the submission printed, where learners may see it."""
    shown = {test.visibility for _, test in tests(result)}
    if shown != {"public"}:
        return ""
    return lines(result.output[-limit:], limit)


def total(result: Result) -> str:
    """`3 of 10 points`."""
    return f"{result.score} of {result.points} points"


def entry(test: Test) -> str:
    """A test: its points, its line, and what went wrong, indented."""
    head = f"  {test.score}/{test.points} {name(test)}"
    return "\n      ".join([head, *feedback(test).splitlines()])

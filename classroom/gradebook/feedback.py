"""The report for a learner, in GitHub's Markdown: a table, then what went wrong, folded away.

    # step3_rag: 3 of 10 points

    | Exercise | Points | Status |
    | --- | ---: | --- |
    | 3.1 Fusion by ranks | 3 of 10 | partial |

Expected values are shown for public tests only, whatever the result holds. What the submission printed (maybe
the inputs of hidden tests), the seed, the isolation and notes are for instructors, but for the note that
nothing could be read.

Text of a submission is bounded, cleaned once more by `harmless`, and set as code, where Markdown, HTML and
GitHub's mentions mean nothing; a fence is longer than any in the text. The rubric's own words are escaped.
"""

import re
from html import escape

from classroom.grading.result import Item, Result, Test
from classroom.intake.harmless import harmless

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$])")
CALLS = 3  # of those that went wrong in a test
CAUSE = 1_000  # characters
VALUE = 300  # of a call, and of its result
BROKEN = "the test itself broke, which is no fault of yours: please tell your instructor"


def render(result: Result) -> str:
    """The text of the report."""
    blocks = [f"# {escaped(result.step)}: {result.score} of {result.points} points"]
    if who := line(result.submission):
        blocks.append(f"Submission: {code(who)}, graded {escaped(result.started)}")
    rows = [
        f"| {_title(item)} | {item.score} of {item.points} | {escaped(item.status)} |"
        for item in result.items
    ]
    blocks.append("\n".join(["| Exercise | Points | Status |", "| --- | ---: | --- |", *rows]))
    blocks += [escaped(note) for note in result.notes if note.startswith("nothing could be read: ")]
    wrong = [item for item in result.items if item.status != "passed"]
    if result.items and not wrong:
        blocks.append("All tests passed.")
    for item in wrong:
        blocks += _item(item)
    return "\n\n".join(blocks) + "\n"


def line(text: str) -> str:
    """Text on one line."""
    return harmless(" ".join(harmless(text).split()), VALUE)


def escaped(text: str) -> str:
    r"""Text on one line, with Markdown's signs escaped.

    >>> escaped("a|b <i> *k*")
    'a\\|b \\<i\\> \\*k\\*'
    """
    return SPECIAL.sub(r"\\\1", line(text))


def code(text: str) -> str:
    """One line as code; not for tables, where a bar ends the cell."""
    ticks = "`" * (_longest_run(text) + 1)
    return f"{ticks} {text} {ticks}"


def fenced(text: str) -> str:
    """Lines as a block of code that nothing in them can end."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _title(item: Item) -> str:
    return escaped(f"{item.id} {item.title}")


def _item(item: Item) -> list[str]:
    blocks = [f"## {_title(item)}: {item.score} of {item.points}"]
    for test in item.tests:
        sign = "✓" if test.status == "passed" else "✗"
        blocks.append(f"{sign} **{test.score}/{test.points}** {escaped(test.line)}")
        if test.status not in ("passed", "not attempted"):  # the table says that already
            summary = f"<summary>What went wrong: {escape(test.status)}</summary>"
            blocks.append(f"<details>{summary}\n\n{fenced(story(test))}\n\n</details>")
    return blocks


def story(test: Test) -> str:
    """What went wrong in a test, as far as learners may know."""
    if test.status == "broken":
        return BROKEN
    cause = harmless(test.cause, CAUSE).strip()
    told = [f"{test.status}: {cause}" if cause else test.status]
    for call in test.calls[:CALLS]:
        told += [line(call.call), f"came: {line(call.got)}"]
        if test.visibility == "public" and call.expected is not None:
            told.append(f"expected: {line(call.expected)}")
    return "\n".join(told)

"""A report for people, in GitHub's Markdown: a table, then what went wrong in each exercise, folded away.

    # step3_rag: 3 of 10 points

    | Exercise | Points | Status |
    | --- | ---: | --- |
    | 3.1 Fusion by ranks | 3 of 10 | partial |

Source: the GitHub Flavored Markdown specification (tables, fenced code, HTML blocks).

What comes from a submission stands in code, where Markdown and HTML mean nothing and GitHub makes no mention,
link or reference of it; a fence is longer than any in the text. The rubric's own words are escaped. Learners
read it, so it holds what they may see.
"""

from __future__ import annotations

import re
from html import escape

from classroom.grading.result import Item, Result, Test
from classroom.upload.formats import view

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$])")
SIGNS = {True: "✓", False: "✗"}


def render(result: Result) -> str:
    """The text of the report."""
    blocks = [f"# {escaped(result.step)}: {view.total(result)}"]
    who = view.line(result.submission)
    if who:
        blocks.append(f"Submission: {code(who)}, graded {escaped(view.line(result.started))}")
    blocks.append(_table(result))
    wrong = [item for item in result.items if item.status != "passed"]
    if result.items and not wrong:
        blocks.append("All tests passed.")
    for item in wrong:
        blocks += _item(item)
    printed = view.printed(result, 2_000)
    if printed:
        blocks.append(_folded("What the submission printed", printed))
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    r"""Words on one line as themselves.

    >>> escaped("a|b <i> *k*")
    'a\\|b \\<i\\> \\*k\\*'
    """
    return SPECIAL.sub(r"\\\1", view.line(text))


def code(text: str) -> str:
    """One line as code; not for tables, where a bar would end the cell."""
    ticks = "`" * (_longest_run(text) + 1)
    return f"{ticks} {text} {ticks}"


def fenced(text: str) -> str:
    """Lines as a block of code that nothing in them can end."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _table(result: Result) -> str:
    rows = [
        f"| {escaped(view.title(item))} | {item.score} of {item.points} | {escaped(item.status)} |"
        for item in result.items
    ]
    return "\n".join(["| Exercise | Points | Status |", "| --- | ---: | --- |", *rows])


def _item(item: Item) -> list[str]:
    blocks = [f"## {escaped(view.title(item))}: {item.score} of {item.points}"]
    for test in item.tests:
        blocks.append(_head(test))
        told = view.feedback(test)
        if told and test.status != "not attempted":  # the table says that already
            blocks.append(_folded(f"What went wrong: {test.status}", told))
    return blocks


def _head(test: Test) -> str:
    return f"{SIGNS[test.status == 'passed']} **{test.score}/{test.points}** {escaped(view.name(test))}"


def _folded(summary: str, text: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>\n\n{fenced(text)}\n\n</details>"

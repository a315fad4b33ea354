"""Results as files: one function a format, from a `Result` to the text of a file.

    >>> FORMATS["gradescope"].file
    'results.json'

`json` is the whole result, for instructors. Gradescope has a place for instructors and one for learners;
`markdown` is for learners, and holds no more than view.py allows. Schemas of the JSON formats are in
upload/schemas/, with their sources; the tests hold every format against them. Nothing is sent anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from classroom.grading.result import Result
from classroom.upload.formats import gradescope, markdown


@dataclass(frozen=True)
class Format:
    """A way to write a result down, and the name of the file that its readers look for."""

    file: str
    render: Callable[[Result], str]


FORMATS = {
    "json": Format("result.json", Result.to_json),
    "gradescope": Format("results.json", gradescope.render),
    "markdown": Format("report.md", markdown.render),
}


def render(result: Result, name: str) -> str:
    """The result in a format."""
    return FORMATS[name].render(result)

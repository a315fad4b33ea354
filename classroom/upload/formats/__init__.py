"""Results as real classrooms read them: one function a format, from a `Result` to the text of a file.

    >>> FORMATS["gradescope"].file
    'results.json'
    >>> render(result, "gradscope")
    UserError: unknown format 'gradscope': did you mean gradescope? known are gradescope, json, ...

`json` is the whole result, for instructors. Gradescope has a place for instructors and one for learners; all
others may reach learners, and hold no more than view.py allows. Schemas of the JSON formats are in
upload/schemas/, with their sources; the tests hold every format against them. Nothing is sent anywhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from classroom.grading.result import Result
from classroom.upload.formats import (
    classroom50,
    gradescope,
    junit,
    markdown,
    native,
)
from shared.errors import UserError

__all__ = ["FORMATS", "Format", "render", "write"]

Render = Callable[[Result], str]


@dataclass(frozen=True)
class Format:
    """A way to write a result down. `beside` are further files that its reader looks for."""

    name: str
    file: str
    render: Render
    help: str
    beside: tuple[tuple[str, Render], ...] = ()


FORMATS = {
    each.name: each
    for each in (
        Format("json", "result.json", native.render, "everything, for instructors and programs"),
        Format("gradescope", "results.json", gradescope.render, "Gradescope's autograder results"),
        Format(
            "classroom50",
            "result.json",
            classroom50.render,
            "Classroom 50 (classroom50/result/v1), with a release body beside it",
            beside=(("release-body.md", markdown.render),),
        ),
        Format("junit", "junit.xml", junit.render, "JUnit XML, for CI servers"),
        Format("markdown", "report.md", markdown.render, "a report for people"),
    )
}


def render(result: Result, name: str) -> str:
    """The result in a format.

    Raises:
        UserError: there is no such format; names those that there are, the nearest first.
    """
    return _format(name).render(result)


def write(result: Result, name: str, folder: Path) -> list[Path]:
    """Write the file of a format, and those that its reader looks for beside it, each whole or not at all.

    Raises:
        UserError: there is no such format.
    """
    chosen = _format(name)
    paths = []
    for file, make in ((chosen.file, chosen.render), *chosen.beside):
        part = folder / f"{file}.part"
        part.write_bytes(make(result).encode())
        paths.append(part.replace(folder / file))
    return paths


def _format(name: str) -> Format:
    if name in FORMATS:
        return FORMATS[name]
    near = difflib.get_close_matches(name.lower(), FORMATS, n=3, cutoff=0.5)
    known = [*near, *(each for each in FORMATS if each not in near)]
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(f"unknown format {name[:60]!r}: {hint}known are {', '.join(known)}")

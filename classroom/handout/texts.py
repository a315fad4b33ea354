"""The texts of an assignment, by Jinja2 from templates/: handout, README, Makefile, pyproject.toml.

    render("HANDOUT.md", a=assignment, ...)

Lessons are included without links to files that are not.
"""

import json
import posixpath
import re
import tomllib
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import jinja2
from packaging.requirements import Requirement

from classroom.assignment.rubric import Exercise
from classroom.assignment.spec import ROOT, Assignment
from classroom.grading.calls import CallRecord

LEARNERS_NEED = {"pytest"}  # of the extra `classroom`: instructors need the rest
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"^( {0,3}```.*?^ {0,3}```[^\S\n]*$)", re.MULTILINE | re.DOTALL)
EXAMPLES = 3  # of an exercise
# Of a step's README: how to make a copy without solutions.
TO_A_COPY = re.compile(r"The\s+files\s+here\s+contain\s+the\s+solutions.*?how to get hints\.", re.DOTALL)
A_COPY = """\
This folder is your copy: its exercises are still to be written. A command that needs one that is not written
says so, and ends; in the repository that the copy comes from, every command runs.
[HANDOUT.md](../HANDOUT.md) says what each exercise asks for, and how to get hints."""
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,  # our own Markdown, make and TOML
)
TEMPLATES.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False, indent=1)


def render(template: str, **values: Any) -> bytes:
    """A text of the assignment, from its template."""
    return TEMPLATES.get_template(f"{template}.jinja").render(**values).encode()


def texts(
    a: Assignment, variant: int, examples: dict[str, list[CallRecord]], tests: Iterable[str]
) -> dict[str, bytes]:
    """The texts of an assignment, by path. `tests` are the files with its public tests."""
    marks = [mark for each in a.exercises for mark in each.marks]
    shown = {id: _shown(found) for id, found in examples.items()}
    modules = [each.removesuffix(".py").replace("/", ".") for each in tests]
    return {
        "HANDOUT.md": render(
            "HANDOUT.md",
            a=a,
            variant=variant,
            anchor=_anchor,
            examples={each.id: shown.get(each.id, []) for each in a.exercises},
            points=sum(mark.points for mark in marks),
            public=sum(mark.points for mark in marks if mark.visibility == "public"),
        ),
        **{name: render(name, a=a) for name in ("AGENTS.md", "README.md", "Makefile")},
        "pyproject.toml": _project(a),
        "tests/conftest.py": render("conftest.py", a=a),
        f"tests/test_{a.number}.py": render("test_public.py", files=list(tests), modules=modules),
    }


def _shown(examples: list[CallRecord]) -> list[CallRecord]:
    """A few calls on a line each: one of each function before a second one of any."""
    short = [each for each in examples if each.is_whole]
    first = {each.call.partition("(")[0]: each for each in reversed(short)}
    return [*reversed(first.values()), *(each for each in short if each not in first.values())][:EXAMPLES]


def _anchor(exercise: Exercise) -> str:
    """The anchor that GitHub gives to the heading of an exercise."""
    return re.sub(r"[^\w\- ]", "", f"{exercise.id} {exercise.title}".lower()).replace(" ", "-")


def project() -> dict[str, Any]:
    """The repository's own pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def needed_extras(names: Iterable[str]) -> dict[str, list[str]]:
    """These extras of the repository, and those that they need, by name."""
    extras: dict[str, list[str]] = project()["project"]["optional-dependencies"]
    needed, waiting = {}, [*names]
    while waiting:
        name = waiting.pop()
        needed[name] = extras[name]
        own = [Requirement(each) for each in extras[name] if each.startswith("llm-roadmap[")]
        waiting += [extra for each in own for extra in sorted(each.extras) if extra not in needed]
    return needed


def _project(a: Assignment) -> bytes:
    """pyproject.toml with the requirements of this step."""
    extras = needed_extras([a.number, "classroom"])
    extras["classroom"] = [each for each in extras["classroom"] if Requirement(each).name in LEARNERS_NEED]
    packages = sorted([*a.packages, "classroom"])
    sections = dict(sorted(extras.items()))
    return render("pyproject.toml", a=a, p=project(), extras=sections, packages=packages)


def for_a_copy(readme: str) -> str:
    """A step's README as it stands in a copy.

    Raises:
        ValueError: it doesn't say how to make a copy, from "The files here" to "how to get hints.".
    """
    text, replaced = TO_A_COPY.subn(A_COPY, readme)
    if replaced != 1:
        raise ValueError(
            "a step's README has 'The files here contain the solutions ... how to get hints.' once"
        )
    return text


def without_dangling(text: str, folder: str, there: Container[str]) -> str:
    """A lesson without links to files that aren't there; `folder` is its own. Code is left alone."""

    def kept(found: re.Match[str]) -> str:
        image, words, target = found.groups()
        place = target.partition("#")[0]
        if not place or ":" in place.partition("/")[0]:  # within the page, or an address
            return found[0]
        if posixpath.normpath(posixpath.join(folder, place)) in there:
            return found[0]
        return f"*{words}*" if image else words

    parts = FENCE.split(text)
    return "".join(part if i % 2 else LINK.sub(kept, part) for i, part in enumerate(parts))

"""The rubric: the marks on the tests, and titles and hints in rubrics/stepN.toml.

    @pytest.mark.rubric("3.1", points=4, times=3, timeout=5, visibility="public")
    def test_rrf(submission, draw):
        "Rankings of different lengths are fused by rank."

An exercise is all tests with its id; its points are theirs together. A test runs `times` times, each time on
other inputs; its docstring is the rubric line. Exercises of a step are worth 100 points together.

visibility    public            in the starter, everything is shown; graded on other inputs besides
              hidden            points and what went wrong are shown, never what was expected
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shared.errors import UserError

RUBRICS = Path(__file__).parents[1] / "rubrics"
VISIBILITIES = ("public", "hidden")
MANIFEST, SCHEMA = "classroom.json", "classroom/assignment/v2"  # of a starter: its exercises
MARK = "rubric(id, points, timeout, visibility, times): what a test is worth, and where"


@dataclass(frozen=True)
class Mark:
    """One test's share of an exercise."""

    test: str  # its name
    id: str
    points: int
    timeout: float = 10
    visibility: str = "hidden"
    line: str = ""  # the rubric line
    times: int = 1


@dataclass(frozen=True)
class Exercise:
    """All tests with one id, and where the exercise is written."""

    id: str
    title: str
    hints: list[str]
    files: list[str]
    functions: list[str]  # qualified, as in `Rates.take`
    marks: list[Mark]

    @property
    def points(self) -> int:
        return sum(mark.points for mark in self.marks)

    @property
    def public(self) -> list[Mark]:
        """The tests that are in the starter."""
        return [mark for mark in self.marks if mark.visibility == "public"]


@dataclass(frozen=True)
class RubricTest:
    """A test with its mark."""

    mark: Mark
    function: Callable[..., None]

    def run(self, submission: Any, draw: Any) -> None:
        """Run it as often as the mark says."""
        for _ in range(self.mark.times):
            self.function(submission, draw)


def mark_of(function: Callable[..., Any]) -> Mark:
    """The mark of a test.

    Raises:
        UserError: there is none, or it is wrong.
    """
    name = function.__name__
    line = " ".join((function.__doc__ or "").split("\n\n")[0].split())
    try:
        [found] = [mark for mark in getattr(function, "pytestmark", ()) if mark.name == "rubric"]
        mark = Mark(name, *found.args, **found.kwargs, line=line)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} has no rubric mark, or a wrong one: {error}") from None
    if not line or type(mark.points) is not int or mark.points < 1 or mark.visibility not in VISIBILITIES:
        kinds = " or ".join(VISIBILITIES)
        raise UserError(f"{name} needs a docstring, whole points from 1, and is {kinds}: {found.kwargs}")
    return mark


def files_of(step: str, public_only: bool = False) -> list[Path]:
    """The files with the tests of `step3` or `step3_rag`: step3_public*.py and step3_hidden*.py.

    Raises:
        UserError: there are none.
    """
    number = step.partition("_")[0]
    kinds = ("public",) if public_only else VISIBILITIES
    files = [path for kind in kinds for path in sorted(RUBRICS.glob(f"{number}_{kind}*.py"))]
    if not files:
        raise UserError(f"{step} has no tests")
    return files


@cache
def rubric_tests(step: str, public_only: bool = False) -> tuple[RubricTest, ...]:
    """All tests of a step, in the order of its files.

    Raises:
        UserError: they can't be loaded, or a mark is wrong.
    """
    tests = []
    for file in files_of(step, public_only):
        try:
            module = importlib.import_module(f"classroom.rubrics.{file.stem}")
        except Exception as error:
            raise UserError(f"{file.name}: {type(error).__name__}: {error}") from None
        own = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
        tests += [RubricTest(mark_of(each), each) for each in own if each.__name__.startswith("test_")]
    return tuple(tests)

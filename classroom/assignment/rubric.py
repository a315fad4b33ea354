"""What is graded: read from the marks on the tests, the one place where it stands.

    @pytest.mark.rubric("3.1", points=4, timeout=5, visibility="public", title="Fusion by ranks",
                        hint=("The first rank is 1.", "A dict grows.", "for rank, name in enumerate(..., 1)"))
    def test_rrf(submission, draw):
        "Rankings of different lengths are fused by rank."

An exercise is all tests with its id; its points are theirs together, its title and its ladder of hints
stand on its first test. A test's docstring is the rubric line. Exercises of a step are worth 100 points
together.

visibility    public            in the starter, everything is shown; graded on other inputs besides
              hidden            points and what went wrong are shown, never what was expected
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

RUBRICS = Path(__file__).parents[1] / "rubrics"
VISIBILITIES = ("public", "hidden")
MARK = "rubric(id, points, timeout, visibility, hint, title): what a test is worth, and where"


class RubricError(Exception):
    """A mark that can't be; a bug of whoever wrote the tests."""


@dataclass(frozen=True)
class Mark:
    """One test's share of an exercise."""

    test: str  # its name
    id: str
    points: int
    timeout: float
    visibility: str
    line: str  # the rubric line
    title: str = ""
    hint: tuple[str, ...] = ()


@dataclass
class Exercise:
    """All tests of one id."""

    id: str
    marks: list[Mark] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(mark.points for mark in self.marks)

    @property
    def title(self) -> str:
        return next(mark.title for mark in self.marks if mark.title)

    @property
    def hints(self) -> tuple[str, ...]:
        return next((mark.hint for mark in self.marks if mark.hint), ())


@dataclass(frozen=True)
class RubricTest:
    """A test with its mark. It is called with `submission` and `draw`."""

    mark: Mark
    run: Callable[..., None]


def mark_of(function: Callable[..., Any]) -> Mark:
    """The mark of a test.

    Raises:
        RubricError: there is none, or it is wrong.
    """
    name = function.__name__
    found = next((mark for mark in getattr(function, "pytestmark", ()) if mark.name == "rubric"), None)
    if found is None:
        raise RubricError(f"{name} has no rubric mark")
    line = " ".join((function.__doc__ or "").split("\n\n")[0].split())
    try:
        mark = _mark(name, line, *found.args, **found.kwargs)
    except TypeError as error:
        raise RubricError(f"{name}: {error}") from None
    if not mark.line:
        raise RubricError(f"{name} has no docstring, which is its rubric line")
    if type(mark.points) is not int or mark.points < 1:
        raise RubricError(f"{name}: points are whole numbers from 1, not {mark.points!r}")
    if mark.visibility not in VISIBILITIES:
        raise RubricError(f"{name}: visibility {mark.visibility!r} is none of {', '.join(VISIBILITIES)}")
    if mark.hint and len(mark.hint) != 3:
        raise RubricError(f"{name}: a ladder of hints has three, not {len(mark.hint)}")
    return mark


def _mark(
    test: str,
    line: str,
    id: str,
    points: int,
    timeout: float = 10,
    visibility: str = "hidden",
    hint: Sequence[str] = (),
    title: str = "",
) -> Mark:
    return Mark(test, id, points, timeout, visibility, line, title, tuple(hint))


def exercises(marks: Iterable[Mark]) -> list[Exercise]:
    """The exercises of these marks, by id.

    Raises:
        RubricError: one has no title or no hints.
    """
    found: dict[str, Exercise] = {}
    for mark in marks:
        found.setdefault(mark.id, Exercise(mark.id)).marks.append(mark)
    for each in found.values():
        if not any(mark.title for mark in each.marks):
            raise RubricError(f"exercise {each.id} has no title")
        if not each.hints:
            raise RubricError(f"exercise {each.id} has no hints")
    return sorted(found.values(), key=lambda each: [int(part) for part in each.id.split(".")])


def files_of(step: str, public_only: bool = False) -> list[Path]:
    """The files with the tests of `step3` or `step3_rag`: step3_public*.py and step3_hidden*.py.

    Raises:
        RubricError: there are none.
    """
    number = step.partition("_")[0]
    kinds = ("public",) if public_only else ("public", "hidden")
    files = [path for kind in kinds for path in sorted(RUBRICS.glob(f"{number}_{kind}*.py"))]
    if not files:
        raise RubricError(f"{step} has no tests")
    return files


@cache
def rubric_tests_in(file: Path) -> tuple[RubricTest, ...]:
    """The tests of a file, in its order.

    Raises:
        RubricError: it can't be loaded, or a mark is wrong.
    """
    try:
        module = _loaded(file)
    except Exception as error:
        raise RubricError(f"{file.name}: {type(error).__name__}: {error}") from None
    own = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
    return tuple(RubricTest(mark_of(each), each) for each in own if each.__name__.startswith("test_"))


def _loaded(file: Path) -> ModuleType:
    if file.parent == RUBRICS:  # others of this folder import it
        return importlib.import_module(f"classroom.rubrics.{file.stem}")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rubric_tests(step: str, public_only: bool = False) -> list[RubricTest]:
    """All tests of a step.

    Raises:
        RubricError: they can't be loaded, or a mark is wrong.
    """
    return [test for file in files_of(step, public_only) for test in rubric_tests_in(file)]


def read(step: str, public_only: bool = False) -> list[Exercise]:
    """The exercises of a step.

    Raises:
        RubricError: the tests can't be loaded, or a mark is wrong.
    """
    return exercises(test.mark for test in rubric_tests(step, public_only))

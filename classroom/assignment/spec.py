"""A step's assignment: its exercises and where they are written, its packages, and their files.

    >>> assignment("step3").exercises[0].files
    ['step3_rag/retrieve/fuse.py']

The step's own code is the reference solution. `stripped` gives it without solutions.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.assignment import markers
from classroom.assignment.markers import Place
from classroom.assignment.rubric import RUBRICS, Exercise, Mark, rubric_tests
from shared.errors import UserError, reason
from shared.steps import steps

ROOT = Path(__file__).parents[2]
SKIPPED = {"__pycache__", "runs", "reports"}
PARTS = {"step5_serving": ("step3_rag",)}  # the packages that a step needs, besides `shared`
# What every worker imports before it sees a submission, while the grader imports the same.
PRELOAD = {
    "step1_foundations": ("torch", "transformers.cache_utils", "transformers.models.llama"),
    "step2_tools": ("anthropic",),
    "step3_rag": ("numpy", "langgraph.graph"),
    "step4_finetune": ("torch", "datasketch", "torch.utils.flop_counter"),
    "step5_serving": ("numpy", "sqlalchemy", "torch"),
}


@dataclass(frozen=True)
class Assignment:
    """A step as an assignment."""

    step: str  # its package
    title: str  # of its lesson
    goals: tuple[str, ...]
    hours: str
    exercises: tuple[Exercise, ...]

    @property
    def number(self) -> str:
        """`step3` of `step3_rag`."""
        return self.step.partition("_")[0]

    @property
    def prefix(self) -> str:
        """How the ids of its exercises begin: `3.`."""
        return f"{self.number.removeprefix('step')}."

    @property
    def packages(self) -> tuple[str, ...]:
        return packages_of(self.step)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are handed in."""
        return tuple(sorted({file for each in self.exercises for file in each.files}))


def package_of(step: str) -> str:
    """The package of `step3`, `step3_rag` or `3`.

    Raises:
        UserError: there is no such step.
    """
    known = {name.split("_")[0]: name for name in steps()}
    name = f"step{step}" if step.isdigit() else step
    found = known.get(name, name)
    if found not in known.values():
        raise UserError(f"there is no step {step!r}; there are {', '.join(known)}")
    return found


def packages_of(package: str) -> tuple[str, ...]:
    """The packages that a step can't do without."""
    return (package, *PARTS.get(package, ()), "shared")


def assignment(step: str) -> Assignment:
    """The assignment of a step.

    Raises:
        UserError: there is no such step, a mark is wrong, or an exercise has no tests, place, title or hints.
    """
    package = package_of(step)
    number = package.partition("_")[0]
    marks: dict[str, list[Mark]] = {}
    for test in rubric_tests(package):
        marks.setdefault(test.mark.id, []).append(test.mark)
    prefix = f"{number.removeprefix('step')}."
    places = {id: each for id, each in places_of(packages_of(package)).items() if id.startswith(prefix)}
    if wrong := set(marks) ^ set(places):
        which = "marked in the code, and has no test" if min(wrong) in places else "tested, and not marked"
        raise UserError(f"exercise {min(wrong)} is {which}")
    path = RUBRICS / f"{number}.toml"
    try:
        texts = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} can't be read: {reason(error)}") from None
    exercises = [_exercise(id, texts.get(id), places[id], marks[id], path.name) for id in marks]
    exercises.sort(key=lambda each: [int(part) for part in each.id.split(".")])
    heading = re.search(r"^# (.+)$", (ROOT / package / "README.md").read_text("utf-8"), re.MULTILINE)
    title, goals = heading[1] if heading else package, tuple(texts.get("goals", ()))
    return Assignment(package, title, goals, str(texts.get("hours", "")), tuple(exercises))


def _exercise(id: str, text: Any, places: list[tuple[str, Place]], marks: list[Mark], file: str) -> Exercise:
    match text:
        case {"title": str(title), "hints": [str(), str(), str()] as hints} if title:
            files = dict.fromkeys(file for file, _ in places)
            functions = dict.fromkeys(place.function for _, place in places)
            return Exercise(id, title, hints, [*files], [*functions], marks)
    raise UserError(f"exercise {id} has no title or no three hints in {file}")


def places_of(packages: Iterable[str]) -> dict[str, list[tuple[str, Place]]]:
    """The marked places of packages, by exercise."""
    found: dict[str, list[tuple[str, Place]]] = {}
    for name, path in sources(packages).items():
        if name.endswith(".py") and b"### BEGIN SOLUTION" in (content := path.read_bytes()):
            for place in markers.places(content.decode(), name):
                found.setdefault(place.id, []).append((name, place))
    return found


def sources(packages: Iterable[str]) -> dict[str, Path]:
    """All files of packages, by their paths in the repository."""
    found = {}
    for package in packages:
        for path in sorted((ROOT / package).rglob("*")):
            inside = path.relative_to(ROOT)
            hidden = any(part in SKIPPED or part.startswith(".") for part in inside.parts)
            if path.is_file() and not hidden:
                found[inside.as_posix()] = path
    return found


def stripped(packages: Iterable[str], only: str = "") -> dict[str, bytes]:
    """All files of packages without solutions. `only`: remove those whose ids begin so.

    Raises:
        UserError: a marker is wrong.
    """
    found = {}
    for name, path in sources(packages).items():
        content = path.read_bytes()
        if name.endswith(".py") and b"### " in content:
            content = markers.strip(content.decode(), name, only).encode()
        found[name] = content
    return found


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by their paths in the repository."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def classroom_files(*patterns: str) -> dict[str, bytes]:
    """The files of `classroom` that match the patterns, by their paths in the repository."""
    folder = ROOT / "classroom"
    paths = {path for pattern in ("__init__.py", *patterns) for path in folder.glob(pattern)}
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in sorted(paths)}

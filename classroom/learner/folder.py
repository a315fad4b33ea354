"""The starter that this package lies in: the exercises, where they are written, which hints were seen.

    >>> starter = Starter.load(ROOT)
    >>> starter.places(starter.exercise("3.1"))
    [Place(file='step3_rag/retrieve/fuse.py', function='rrf', line=36)]

`classroom.json` lists the exercises. The folder may be moved, and may lie anywhere: all paths inside are
relative to it.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.assignment.rubric import MANIFEST, SCHEMA, Exercise, Mark
from shared.errors import UserError

ROOT = Path(__file__).absolute().parents[2]
MEMORY = ".classroom.json"  # which hints were seen; may be deleted
DEF = re.compile(r"\s*(?:async\s+)?def\s+(\w+)")


@dataclass(frozen=True)
class Place:
    """A function to write. `line` is that of its stub, or where it begins."""

    file: str
    function: str
    line: int


@dataclass(frozen=True)
class Starter:
    """An assignment, as a learner has it."""

    root: Path
    step: str
    title: str
    variant: int
    exercises: tuple[Exercise, ...]

    @classmethod
    def load(cls, root: Path) -> Starter:
        """The starter in this folder.

        Raises:
            UserError: there is none.
        """
        path = root / MANIFEST
        try:
            told = json.loads(path.read_text("utf-8"))
            if told["schema"] != SCHEMA:
                raise ValueError
            exercises = tuple(map(_exercise, told["exercises"]))
            return cls(root, str(told["step"]), str(told["title"]), int(told["variant"]), exercises)
        except OSError:
            raise UserError(f"{path} is missing: this works in the folder of an assignment") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path} was changed, or is no {SCHEMA}: take it from the assignment") from None

    def exercise(self, id: str) -> Exercise:
        """The exercise with this id.

        Raises:
            UserError: there is none; the message lists those that exist.
        """
        known = {each.id: each for each in self.exercises}
        if id not in known:
            there_are = ", ".join(exercise.id for exercise in self.in_order)
            raise UserError(f"there is no exercise {id!r}; there are {there_are}")
        return known[id]

    @property
    def in_order(self) -> list[Exercise]:
        """The exercises by number: 1.2 before 1.10."""
        return sorted(self.exercises, key=lambda exercise: [int(part) for part in exercise.id.split(".")])

    @property
    def files(self) -> list[str]:
        """The files in which exercises are written."""
        return list(dict.fromkeys(file for each in self.exercises for file in each.files))

    def places(self, exercise: Exercise) -> list[Place]:
        """Where an exercise is still to be written: its stubs; if none is left, its functions."""
        stubs, functions = self._find(exercise)
        return stubs or functions or [Place(exercise.files[0], exercise.functions[0], 1)]

    def stubs(self, exercise: Exercise) -> list[Place]:
        """Where `raise NotImplementedError` of an exercise is left."""
        return self._find(exercise)[0]

    def lines(self, exercise: Exercise) -> list[str]:
        """A line for each place, as learners read it: what to write, or what they wrote."""
        word = "write" if self.stubs(exercise) else "written:"
        places = self.places(exercise)
        return [f"{word} {place.function} in {place.file}:{place.line}" for place in places]

    def _find(self, exercise: Exercise) -> tuple[list[Place], list[Place]]:
        """The stubs of an exercise, and its functions."""
        names = {name.rpartition(".")[2] for name in exercise.functions}
        stubs, functions = [], []
        for file in exercise.files:
            function = ""
            for number, line in enumerate(self._text(file).split("\n"), 1):
                head = DEF.match(line)
                if head and head[1] in names:
                    function = head[1]
                    functions.append(Place(file, function, number))
                elif "NotImplementedError" in line and f'"exercise {exercise.id}:' in line:
                    stubs.append(Place(file, function, number))
        return stubs, functions

    def _text(self, file: str) -> str:
        """The contents of a file, with "\\n" at the end of lines; empty if it can't be read."""
        try:
            return (self.root / file).read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n")
        except OSError:
            return ""

    def hints_seen(self) -> dict[str, int]:
        """How many hints of each exercise were shown."""
        try:
            seen = json.loads((self.root / MEMORY).read_text("utf-8"))["hints"]
            return {id: number for id, number in seen.items() if number in (1, 2, 3)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def remember_hints(self, seen: dict[str, int]) -> None:
        """Write down how many were shown. If that fails, a warning is printed."""
        try:
            (self.root / MEMORY).write_text(json.dumps({"hints": seen}, indent=1) + "\n", "utf-8")
        except OSError as error:
            why = f"this will be the next hint again: {error.strerror}"
            print(f"{MEMORY} can't be written, so {why}", file=sys.stderr)


def _exercise(told: dict[str, Any]) -> Exercise:
    return Exercise(**told | {"marks": [Mark(**each) for each in told["marks"]]})

"""The starter that this package lies in: what is asked for, where it is written, which hints were seen.

    >>> starter = Starter.load(ROOT)
    >>> starter.places(starter.exercise("3.1"))
    [Place(file='step3_rag/retrieve/fuse.py', function='rrf', line=36, open=True)]

`classroom.json` says what is asked for, `classroom/given.json` holds the exercises' files as they were handed
out. The folder may be moved, and may lie anywhere: all paths inside are relative to it.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import sys
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason

ROOT = Path(__file__).absolute().parents[2]
MANIFEST, SCHEMA = "classroom.json", "classroom/assignment/v1"
GIVEN = "classroom/given.json"
MEMORY = ".classroom.json"  # which hints were seen; may be deleted
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Line:
    """A test, as a line of the rubric."""

    points: int
    line: str
    visibility: str
    test: str


@dataclass(frozen=True)
class Exercise:
    """What is asked for."""

    id: str
    title: str
    points: int
    files: tuple[str, ...]
    functions: tuple[str, ...]
    hints: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def public(self) -> list[Line]:
        """The tests that are in the starter."""
        return [line for line in self.lines if line.visibility == "public"]


@dataclass(frozen=True)
class Place:
    """A function that is to be written. `line` is that of its stub, where it is still `open`."""

    file: str
    function: str
    line: int
    open: bool


@dataclass(frozen=True)
class Problem:
    """Why a file is no Python."""

    file: str
    line: int
    error: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.error}"


@dataclass(frozen=True)
class Starter:
    """An assignment, as a learner has it."""

    root: Path
    step: str
    title: str
    exercises: tuple[Exercise, ...]
    code: tuple[str, ...]  # all its Python files that are not the classroom's or the tests'

    @classmethod
    def load(cls, root: Path) -> Starter:
        """The starter in this folder.

        Raises:
            UserError: there is none.
        """
        told = _json(root / MANIFEST)
        if told.get("schema") != SCHEMA:
            raise UserError(f"{root / MANIFEST} is no {SCHEMA}; take it from the assignment again")
        try:
            code = [name for name in told["sha256"] if name.endswith(".py")]
            return cls(
                root,
                str(told["step"]),
                str(told["title"]),
                tuple(map(_exercise, told["exercises"])),
                tuple(name for name in code if not name.startswith(("classroom/", "tests/"))),
            )
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{root / MANIFEST} was changed; take it from the assignment again") from None

    def exercise(self, id: str) -> Exercise:
        """The exercise with this id.

        Raises:
            UserError: there is none; those that there are are named.
        """
        for each in self.exercises:
            if each.id == id:
                return each
        known = ", ".join(each.id for each in self.exercises)
        raise UserError(f"there is no exercise {id!r}; there are {known}")

    @cached_property
    def given(self) -> dict[str, str]:
        """The exercises' files as they were handed out."""
        return _json(self.root / GIVEN)

    def functions(self, exercise: Exercise) -> list[tuple[str, str]]:
        """Files and functions in which an exercise has its stubs."""
        found = []
        for file in exercise.files:
            source = self.given.get(file, "")
            lines, nodes = source.split("\n"), functions_in(source)
            stubs = [i for i, line in enumerate(lines, 1) if _is_stub(line, exercise.id)]
            for name in exercise.functions:
                node = nodes.get(name)
                if node and any(node.lineno <= i <= (node.end_lineno or 0) for i in stubs):
                    found.append((file, name))
        return found

    def places(self, exercise: Exercise) -> list[Place]:
        """Where an exercise is written now. A function that is gone is looked for nowhere else: line 1."""
        return [self._place(file, name, exercise.id) for file, name in self.functions(exercise)]

    def _place(self, file: str, name: str, id: str) -> Place:
        try:
            source = self.text(file)
        except UserError:
            return Place(file, name, 1, False)
        lines = source.split("\n")  # as Python counts them: splitlines knows other ends, too
        try:
            node = functions_in(source).get(name)
            first, last = (node.lineno, node.end_lineno or 0) if node else (1, 0)
        except (SyntaxError, ValueError):  # half of a sentence: the words will do
            head = re.compile(rf"\s*(async\s+)?def\s+{re.escape(name.rpartition('.')[2])}\b")
            first = next((i for i, line in enumerate(lines, 1) if head.match(line)), 1)
            last = len(lines)
        stub = next((i for i in range(first, last + 1) if _is_stub(lines[i - 1], id)), 0)
        return Place(file, name, stub or first, bool(stub))

    def text(self, file: str) -> str:
        """What a file holds now, with "\\n" at the end of lines.

        Raises:
            UserError: it can't be read.
        """
        try:
            text = (self.root / file).read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise UserError(f"{file} can't be read: {os.strerror(error.errno or 0)}") from None
        except UnicodeDecodeError:
            raise UserError(f"{file} is not UTF-8") from None
        return text.replace("\r\n", "\n")

    def untouched(self, exercise: Exercise) -> bool:
        """Whether none of its files was changed, so that only stubs can be there."""
        given = self.given
        with contextlib.suppress(UserError):
            return all(self.text(file) == given.get(file) for file in exercise.files)
        return False

    def problems(self) -> list[Problem]:
        """The files of exercises that are no Python."""
        found = []
        for file in dict.fromkeys(file for each in self.exercises for file in each.files):
            try:
                with warnings.catch_warnings(action="ignore"):
                    compile(self.text(file), file, "exec")
            except UserError as error:
                found.append(Problem(file, 1, str(error)))
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                said = getattr(error, "msg", "") or reason(error)
                found.append(
                    Problem(file, getattr(error, "lineno", None) or 1, f"{type(error).__name__}: {said}")
                )
        return found

    def hints_seen(self, id: str) -> int:
        """How many hints of an exercise were shown."""
        seen = self._memory().get(id)
        return seen if type(seen) is int and 0 <= seen <= len(self.exercise(id).hints) else 0

    def remember_hints(self, id: str, seen: int) -> None:
        """Write down how many were shown. Where that can't be, it is said, and nothing else happens."""
        path = self.root / MEMORY
        part = path.with_name(f"{MEMORY}.part")
        try:
            part.write_text(json.dumps({"hints": self._memory() | {id: seen}}, indent=1) + "\n", "utf-8")
            part.replace(path)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            print(f"{MEMORY} can't be written, so this will be the next hint again: {why}", file=sys.stderr)

    def _memory(self) -> dict[str, Any]:
        try:
            seen = json.loads((self.root / MEMORY).read_text("utf-8"))["hints"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return seen if isinstance(seen, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text("utf-8"))
    except OSError:
        raise UserError(f"{path} is missing: this works in the folder of an assignment") from None
    except ValueError:
        raise UserError(f"{path} was changed; take it from the assignment again") from None
    if not isinstance(told, dict):
        raise UserError(f"{path} was changed; take it from the assignment again")
    return told


def _exercise(told: dict[str, Any]) -> Exercise:
    names = ("files", "functions", "hints")
    lists = {name: tuple(map(str, told[name])) for name in names}
    lines = tuple(Line(**each) for each in told["lines"])
    return Exercise(told["id"], told["title"], told["points"], lines=lines, **lists)


def _is_stub(line: str, id: str) -> bool:
    return "NotImplementedError" in line and f'"exercise {id}:' in line


def functions_in(source: str) -> dict[str, Function]:
    """The functions of a file by their qualified names, as in `Rates.take`.

    Raises:
        SyntaxError, ValueError: this is no Python.
    """
    with warnings.catch_warnings(action="ignore"):
        waiting: list[tuple[str, ast.AST]] = [("", ast.parse(source))]
    found: dict[str, Function] = {}
    while waiting:
        path, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            inner = path
            if isinstance(child, ast.ClassDef | Function):
                inner = f"{path}.{child.name}".lstrip(".")
            if isinstance(child, Function):
                found.setdefault(inner, child)
            waiting.append((inner, child))
    return found

"""Where learners write: the marked places of a file, and the same file without its solutions.

    def rrf(rankings, k=60):
        \"\"\"Reciprocal-rank fusion ...\"\"\"
        ### BEGIN SOLUTION 3.1: Fusion by ranks
        fused = {}
        ...
        ### END SOLUTION

becomes

    def rrf(rankings, k=60):
        \"\"\"Reciprocal-rank fusion ...\"\"\"
        raise NotImplementedError("exercise 3.1: Fusion by ranks")

Markers are comments on lines of their own, inside a function, indented like its body; an exercise may have
several places. What comes after a place stays, so imports that only the solution needed are left over.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import UserError

MARKER = re.compile(r"###\s*(BEGIN|END)\s+SOLUTION\b\s*(.*)")
NAMED = re.compile(r"(\d+\.\d+): (\S.*)")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Place:
    """A marked place. Lines count from 1; those of the markers themselves are `first` and `last`."""

    id: str
    title: str
    function: str  # qualified, as in `Rates.take`
    first: int
    last: int
    indent: str

    @property
    def stub(self) -> str:
        """What a learner finds instead."""
        said = json.dumps(f"exercise {self.id}: {self.title}", ensure_ascii=False)
        return f"{self.indent}raise NotImplementedError({said})"

    def holds(self, line: int) -> bool:
        """Whether a line stands between the markers."""
        return self.first < line < self.last


def places(source: str, file: str) -> list[Place]:
    """The marked places of a file, in their order.

    Raises:
        UserError: a marker without its other half, inside another place, without an exercise, or around
            anything but whole statements of a function; or a file that is no Python.
    """
    tree = _parsed(source, file)
    found: list[Place] = []
    begin: tuple[int, str, str, str] | None = None
    for line, indent, text in _comments(source):
        marker = MARKER.fullmatch(text)
        if marker is None:
            continue
        here = f"{file}, line {line}"
        if marker[1] == "BEGIN":
            named = NAMED.fullmatch(marker[2].strip())
            if begin is not None:
                raise UserError(f"{here}: BEGIN SOLUTION inside the solution that begins in line {begin[0]}")
            if named is None:
                raise UserError(f"{here}: BEGIN SOLUTION names no exercise, as in BEGIN SOLUTION 3.2: nDCG")
            begin = (line, named[1], named[2], indent)
        elif begin is None:
            raise UserError(f"{here}: END SOLUTION without BEGIN SOLUTION")
        else:
            first, id, title, outer = begin
            end = _last_statement(source.splitlines()[first : line - 1])
            function = _function_at(tree, first, first + end) if end else ""
            if not function:
                raise UserError(f"{file}, line {first}: a solution holds whole statements of one function")
            found.append(Place(id, title, function, first, line, outer))
            begin = None
    if begin is not None:
        raise UserError(f"{file}, line {begin[0]}: BEGIN SOLUTION without END SOLUTION")
    return found


def strip(source: str, file: str, only: str = "") -> str:
    """The file without its solutions: a stub in each marked place. `only` is how their ids begin.

    Raises:
        UserError: as `places`, and what is left is no Python.
    """
    marked = [place for place in places(source, file) if place.id.startswith(only)]
    if not marked:
        return source
    lines = source.splitlines(keepends=True)
    for place in reversed(marked):
        end = "\r\n" if lines[place.first - 1].endswith("\r\n") else "\n"
        lines[place.first - 1 : place.last] = [place.stub + end]
    stripped = "".join(lines)
    _parsed(stripped, f"{file} without its solutions")
    return stripped


def _parsed(source: str, file: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 0
        raise UserError(f"{file}, line {line}: {getattr(error, 'msg', error)}") from None


def _comments(source: str) -> Iterator[tuple[int, str, str]]:
    """Comments that have a line of their own: line, indentation, text. Strings are not comments."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        before = token.line[: token.start[1]]
        if token.type == tokenize.COMMENT and not before.strip():
            yield token.start[0], before, token.string.strip()


def _last_statement(lines: list[str]) -> int:
    """The line in which the last of these statements ends, from 1; 0 where none is whole."""
    try:
        [found] = ast.parse("\n".join(["async def solution():", *lines])).body
    except (SyntaxError, ValueError):
        return 0
    return (found.end_lineno or 1) - 1


def _function_at(node: ast.AST, first: int, last: int, path: str = "") -> str:
    """The innermost function that holds the code between two lines, by its qualified name, or nothing."""
    name = path if isinstance(node, Function) else ""
    for child in ast.iter_child_nodes(node):
        inner = path
        if isinstance(child, Function | ast.ClassDef):
            if not child.lineno < first < last <= (child.end_lineno or 0):
                continue
            inner = f"{path}.{child.name}".lstrip(".")
        name = _function_at(child, first, last, inner) or name
    return name

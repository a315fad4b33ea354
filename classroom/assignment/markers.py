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
several places. Code after a place stays, and so do imports that only the solution needs.
"""

import ast
import json
import re
from dataclasses import dataclass

from shared.errors import UserError

MARKER = re.compile(r"(\s*)###\s*(BEGIN|END)\s+SOLUTION\b\s*(.*)")
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
        """The line that learners find instead."""
        text = json.dumps(f"exercise {self.id}: {self.title}", ensure_ascii=False)
        return f"{self.indent}raise NotImplementedError({text})"


def places(source: str, file: str) -> list[Place]:
    """The marked places of a file, in their order.

    Raises:
        UserError: a marker without its other half, inside another place, without an exercise, or around
            anything but whole statements of a function; or the file is not valid Python.
    """
    tree, lines = _parse(source, file), source.splitlines()
    found: list[Place] = []
    begin: tuple[int, str, re.Match[str]] | None = None  # line, indentation, id and title
    for line, text in enumerate(lines, 1):
        if not (marker := MARKER.fullmatch(text)):
            continue
        here, named = f"{file}, line {line}", NAMED.fullmatch(marker[3].strip())
        if marker[2] == "BEGIN":
            if begin is not None:
                raise UserError(f"{here}: BEGIN SOLUTION inside the solution that begins in line {begin[0]}")
            if named is None:
                raise UserError(f"{here}: BEGIN SOLUTION names no exercise, as in BEGIN SOLUTION 3.2: nDCG")
            begin = (line, marker[1], named)
            continue
        if begin is None:
            raise UserError(f"{here}: END SOLUTION without BEGIN SOLUTION")
        first, outer, named = begin
        end = _last_statement(lines[first : line - 1])
        function = _function_at(tree, first, first + end) if end else ""
        if not function:
            raise UserError(f"{file}, line {first}: a solution holds whole statements of one function")
        found.append(Place(named[1], named[2], function, first, line, outer))
        begin = None
    if begin is not None:
        raise UserError(f"{file}, line {begin[0]}: BEGIN SOLUTION without END SOLUTION")
    return found


def strip(source: str, file: str, only: str = "") -> str:
    """The file with a stub in each marked place. `only`: where the ids begin so.

    Raises:
        UserError: as `places`, or the rest is not valid Python.
    """
    marked = [place for place in places(source, file) if place.id.startswith(only)]
    if not marked:
        return source
    lines = source.splitlines(keepends=True)
    for place in reversed(marked):
        end = "\r\n" if lines[place.first - 1].endswith("\r\n") else "\n"
        lines[place.first - 1 : place.last] = [place.stub + end]
    stripped = "".join(lines)
    _parse(stripped, f"{file} without its solutions")
    return stripped


def _parse(source: str, file: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 0
        raise UserError(f"{file}, line {line}: {getattr(error, 'msg', error)}") from None


def _last_statement(lines: list[str]) -> int:
    """The line in which the last of these statements ends, from 1; 0 if they are not whole."""
    try:
        [found] = ast.parse("\n".join(["async def solution():", *lines])).body
    except (SyntaxError, ValueError):
        return 0
    return (found.end_lineno or 1) - 1


def _function_at(node: ast.AST, first: int, last: int, path: str = "") -> str:
    """The qualified name of the innermost function around the code between two lines, or nothing."""
    name = path if isinstance(node, Function) else ""
    for child in ast.iter_child_nodes(node):
        inner = path
        if isinstance(child, Function | ast.ClassDef):
            if not child.lineno < first < last <= (child.end_lineno or 0):
                continue
            inner = f"{path}.{child.name}".lstrip(".")
        name = _function_at(child, first, last, inner) or name
    return name

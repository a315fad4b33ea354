"""An exercise's stub comes back: its functions, or its whole files, as they were handed out.

    new = planned(starter, exercise, whole=False)    {"step3_rag/retrieve/fuse.py": b"..."}: what would change
    done(starter, new)     {"step3_rag/retrieve/fuse.py": ".../fuse.py.bak-1"}; None for a file that was gone

Other exercises in a file, imports and helpers stay as they are, and so does its way to end lines.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path

from classroom.learner.folder import Exercise, Function, Starter, functions_in
from shared.errors import UserError


def planned(starter: Starter, exercise: Exercise, whole: bool) -> dict[str, bytes]:
    """What would be written, for files that would change.

    Raises:
        UserError: a file can't be read as Python, or a function is gone: only the whole file can be reset.
    """
    found = {}
    for file in exercise.files:
        new = starter.given[file]
        if not whole:
            names = [name for other, name in starter.functions(exercise) if other == file]
            new = _with_stubs(starter, exercise, file, names)
        path = starter.root / file
        before = path.read_bytes() if path.exists() else b""
        if b"\r\n" in before:
            new = new.replace("\n", "\r\n")
        if before != new.encode():
            found[file] = new.encode()
    return found


def _with_stubs(starter: Starter, exercise: Exercise, file: str, names: list[str]) -> str:
    """The text of a file with these functions as they were handed out."""
    otherwise = f"reset {exercise.id} --file puts back the whole file"
    if not (starter.root / file).exists():
        raise UserError(f"{file} is gone; {otherwise}")
    text, given = starter.text(file), starter.given[file]
    try:
        nodes, originals = functions_in(text), functions_in(given)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        broken = f"{file}, line {line} is no Python, so {names[0]} can't be told apart in it"
        raise UserError(f"{broken}; {otherwise}") from None
    if gone := [name for name in names if name not in nodes]:
        raise UserError(f"{gone[0]} is no longer in {file}; {otherwise}")
    outer = [name for name in names if not any(name.startswith(f"{other}.") for other in names)]
    lines, old = text.split("\n"), given.split("\n")
    for name in sorted(outer, key=lambda name: nodes[name].lineno, reverse=True):
        lines[_span(nodes[name], lines)] = old[_span(originals[name], old)]
    return "\n".join(lines)


def _span(node: Function, lines: list[str]) -> slice:
    """The lines of a function, from its decorators to comments behind its last statement."""
    first, last = min(each.lineno for each in [node, *node.decorator_list]), node.end_lineno or 0
    for i, line in enumerate(lines[last:], last + 1):
        text = line.lstrip()
        if text and not (text.startswith("#") and len(line) - len(text) > node.col_offset):
            break
        last = i if text else last
    return slice(first - 1, last)


def done(starter: Starter, new: Mapping[str, bytes]) -> dict[str, str | None]:
    """Save each file beside itself, then write it; where they were saved.

    Raises:
        UserError: a file can't be written.
    """
    saved: dict[str, str | None] = {}
    for file, content in new.items():
        path = starter.root / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            there = path.exists()
            saved[file] = _saved(path).relative_to(starter.root).as_posix() if there else None
            path.write_bytes(content)
        except OSError as error:
            raise UserError(f"{file} can't be reset: {os.strerror(error.errno or 0)}") from None
    return saved


def _saved(path: Path) -> Path:
    for number in itertools.count(1):
        copy = path.with_name(f"{path.name}.bak-{number}")
        try:
            with copy.open("xb") as file:
                file.write(path.read_bytes())
        except FileExistsError:
            continue
        return copy
    raise AssertionError

"""Submissions of a few lines, and their tests."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from classroom.assignment.rubric import Mark, RubricTest, mark_of
from classroom.assignment.spec import classroom_files, write_files


def mark(timeout: float = 10, visibility: str = "hidden") -> Mark:
    """The mark of a test."""
    return Mark("test_x", "3.1", 1, timeout, visibility, "x")


def rubric_of(source: str) -> list[RubricTest]:
    """The tests of a rubric that is not in rubrics/."""
    space: dict[str, Any] = {}
    exec(source, space)
    return [RubricTest(mark_of(each), each) for name, each in space.items() if name.startswith("test_")]


def tree(folder: Path, **modules: str) -> Path:
    """A tree with the worker and these modules of `step3_rag`; `fuse` is in its folder `retrieve`."""
    names = {"__init__": "__init__", "empty": "retrieve/__init__", "fuse": "retrieve/fuse"}
    files = classroom_files("protocol/*.py") | {
        f"step3_rag/{names.get(name, name)}.py": textwrap.dedent(code).encode()
        for name, code in {"__init__": "", "empty": "", **modules}.items()
    }
    write_files(folder, files)
    return folder

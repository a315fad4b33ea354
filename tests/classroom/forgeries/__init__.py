"""Attacks on the real rubrics: stepN.txt holds code that runs in the submission first, and what it deserves.

    #: 1.5 any rotation         the exercise, what the attack does, and the points that it deserves, if any
    patch("step1_foundations.block:rope", ...)

The exercise itself is a stub before the code runs (rubric_helpers.py). Those that deserve points are honest
in part: they show that the corpus would notice points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Forgery:
    """An attack, and the points that its exercise deserves."""

    name: str
    id: str
    code: str
    points: int = 0


def forgeries(step: str) -> list[Forgery]:
    """The attacks on a step."""
    found = []
    for part in Path(__file__).with_name(f"{step}.txt").read_text("utf-8").split("#: ")[1:]:
        head, _, code = part.partition("\n")
        id, *words = head.split()
        points = int(words.pop()) if words[-1].isdigit() else 0
        found.append(Forgery(" ".join(words), id, code, points))
    return found


# What no exercise knows of: the worker and the protocol themselves.
EVERYWHERE = {
    "zeros for everything": "patch('classroom.protocol.wire:encode', lambda value, keep=None, depth=0: 0)",
    "nothing is called": "patch('classroom.protocol.wire:reach', lambda value, path: lambda *args: None)",
    "what the grader holds is looked for": """
import gc
held = {type(each).__name__ for each in gc.get_objects()} & {"Made", "Meeting", "Draw", "Log", "Remote"}
assert not held, held
""",
}

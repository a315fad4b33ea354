"""The machine that a bench measured: what `capacity` takes from the facts of `bench --json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason
from step5_serving.bench.capacity import Machine


def read_bench(path: Path) -> dict[str, Any]:
    """The facts of `bench --json`, or of the record that it left in the reports.

    Raises:
        UserError: there are none.
    """
    make = "make it with `python -m step5_serving bench --json > bench.json`"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read a bench from {path} ({reason(error)}): {make}") from None
    facts: Any = found.get("facts", found) if isinstance(found, dict) else {}
    rows = facts.get("rows") if isinstance(facts, dict) else None
    known = isinstance(rows, list) and all(isinstance(each, dict) and "engine" in each for each in rows)
    if not rows or not known or not facts.get("output_tokens"):
        raise UserError(f"{path} holds no bench: {make}")
    return dict(facts)


def machine_of(bench: dict[str, Any], tokens_out: float, engine: str | None) -> Machine:
    """The machine that the bench ran on, with one of its engines.

    Raises:
        UserError: that engine is not in it, or was not measured with numbers of users.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for each in bench["rows"]:
        if each.get("users") and each.get("tokens_per_second"):
            point = int(each["users"]), float(each["tokens_per_second"])
            found.setdefault(each["engine"], []).append(point)
    if not found:
        raise UserError("the bench has no rows by users: run it with --users 1,4,8,16")
    if engine is not None and engine not in found:
        raise UserError(f"--engine {engine} is not in the bench: it has {', '.join(found)}")
    made = []
    for name, points in found.items():
        most, _ = max(points, key=lambda point: (point[1], -point[0]))
        known = tuple(sorted(point for point in points if point[0] <= most))
        made.append(Machine(name, known, tokens_out))
    return max((each for each in made if engine in (None, each.engine)), key=lambda each: each.capacity)

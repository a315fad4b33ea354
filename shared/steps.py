"""Which steps there are on this machine, and what each needs. `shared` imports none of them.

A step is a package named step1_..., step2_...; what it can show in a demo it says in its demo.toml.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import pkgutil
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

DISTRIBUTION = "llm-roadmap"


@dataclass(frozen=True)
class Step:
    """One step package."""

    package: str
    folder: Path

    @property
    def extra(self) -> str:
        """Its name among the extras of pyproject.toml: `step1` of `step1_foundations`."""
        return self.package.split("_")[0]

    def demo(self) -> list[dict[str, Any]]:
        """The runs of its demo.toml: `title`, `args`, and `main` where the figure stands for the step."""
        runs: list[dict[str, Any]] = tomllib.loads((self.folder / "demo.toml").read_text(encoding="utf-8"))[
            "run"
        ]
        return runs


def steps() -> list[Step]:
    """Every step package that Python can find, in order; nothing is imported."""
    found = {}
    for module in pkgutil.iter_modules():
        if module.ispkg and re.fullmatch(r"step\d+_\w+", module.name):
            spec = importlib.util.find_spec(module.name)
            if spec and spec.origin:
                found[module.name] = Step(module.name, Path(spec.origin).parent)
    return [found[name] for name in sorted(found)]


def requirements(extra: str) -> list[Requirement]:
    """What `pip install .[extra]` brings beside the base, this project's own extras resolved."""
    wanted: dict[str, Requirement] = {}
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        lines = []
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        if marker is None or "extra" not in str(marker) or not marker.evaluate({"extra": extra}):
            continue
        if requirement.name == DISTRIBUTION:
            wanted |= {each.name: each for inner in requirement.extras for each in requirements(inner)}
        else:
            wanted[requirement.name] = requirement
    return sorted(wanted.values(), key=lambda each: each.name)

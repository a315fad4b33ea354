"""The installed step packages, such as step1_foundations; they are found without being imported."""

import importlib.util
import pkgutil
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step package."""

    package: str
    folder: Path

    @property
    def extra(self) -> str:
        """The name of the step's extra in pyproject.toml: `step1` for `step1_foundations`."""
        return self.package.split("_")[0]

    def demo(self) -> list[dict[str, Any]]:
        """The runs in demo.toml, each with `title` and `args`; the first shows the step's main result."""
        runs: Any = tomllib.loads((self.folder / "demo.toml").read_text(encoding="utf-8"))["run"]
        return list(runs)


def steps() -> list[Step]:
    """Every step package on Python's path, sorted by number."""
    packages = (module.name for module in pkgutil.iter_modules())
    names = sorted(name for name in packages if re.fullmatch(r"step\d+_\w+", name))
    specs = [importlib.util.find_spec(name) for name in names]
    return [Step(spec.name, Path(spec.origin).parent) for spec in specs if spec and spec.origin]

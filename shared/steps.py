"""The installed step packages, such as step1_foundations; they are found without being imported."""

import importlib.util
import pkgutil
import re
from pathlib import Path


def steps() -> dict[str, Path]:
    """Every step package on Python's path with its folder, sorted by number."""
    packages = (module.name for module in pkgutil.iter_modules())
    names = sorted(name for name in packages if re.fullmatch(r"step\d+_\w+", name))
    specs = [importlib.util.find_spec(name) for name in names]
    return {spec.name: Path(spec.origin).parent for spec in specs if spec and spec.origin}

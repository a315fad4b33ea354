"""What a grader needs from PyPI: of the packages that this project declares, those that grading a step loads.

    >>> pinned("step3")
    ('anthropic==0.116.0', ..., 'pytest==9.2.0', ...)

Steps declare all that their commands may use; their exercises use a part. So the tests of a step are run on
the reference, in a process of its own, and what that imported is looked up. Versions are those of
constraints.txt, which goes along for all that these require in turn.

    python -m classroom.upload.requirements step3        the names of what is loaded, as JSON
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from classroom.assignment.spec import ROOT
from shared.errors import UserError, reason

GRADER = ("pytest", "sandlock")  # whatever the step
LINUX_ONLY = {"sandlock"}


@cache
def pinned(step: str) -> tuple[str, ...]:
    """Lines of a requirements.txt, without any address.

    Raises:
        UserError: the reference can't be run here, or this is no clone of the repository.
    """
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    except OSError as error:
        raise UserError(f"pack works in a clone of the repository: {reason(error)}") from None
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    versions: dict[str, str] = {canonicalize_name(name): version for name, version in pairs}
    declared = [*project["dependencies"]]
    declared += [line for extra in project["optional-dependencies"].values() for line in extra]
    names = {canonicalize_name(Requirement(line).name) for line in declared}
    base = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    found = (names & _loaded(step)) | base | set(GRADER)
    return tuple(_line(name, versions) for name in sorted(found))


def _line(name: str, versions: dict[str, str]) -> str:
    version = versions.get(name) or importlib.metadata.version(name).partition("+")[0]
    return f"{name}=={version}" + ('; sys_platform == "linux"' if name in LINUX_ONLY else "")


def _loaded(step: str) -> set[str]:
    """The distributions that grading loads."""
    command = [sys.executable, "-m", "classroom.upload.requirements", step]
    got = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if got.returncode:
        last = (got.stderr.strip().splitlines() or ["?"])[-1]
        raise UserError(f"the tests of {step} can't be run here on their own solution: {last}")
    return set(json.loads(got.stdout.splitlines()[-1]))


def main() -> None:
    """Run all tests of a step on the reference, here, and say what that loaded."""
    import shared.cli  # noqa: F401  (what the command loads counts)
    from classroom.assignment.rubric import rubric_tests
    from classroom.assignment.spec import PRELOAD, package_of
    from classroom.grading import grade  # noqa: F401
    from classroom.grading.runner import run_tests
    from classroom.grading.submission import Local
    from classroom.upload import formats  # noqa: F401

    package = package_of(sys.argv[1])
    for name in PRELOAD.get(package, ()):
        __import__(name)
    run_tests(rubric_tests(package), lambda _mark: Local(), 1, 0)
    packages = importlib.metadata.packages_distributions()
    roots = {name.partition(".")[0] for name in sys.modules}
    names = {canonicalize_name(name) for root in roots for name in packages.get(root, [])}
    print(json.dumps(sorted(names)))


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    main()

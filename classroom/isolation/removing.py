"""Deletes a folder in which a submission may have made anything. Used by keeper.py, too."""

import os
import secrets
from pathlib import Path


def remove(folder: Path) -> None:
    """Delete a folder, even if it is unreadable, or so deep that its paths are too long for the system.

    Folders inside its folders are first moved up, so no path is ever longer than two names.
    """
    prefix, number = secrets.token_hex(8), 0
    folder.chmod(0o700)
    while entries := list(os.scandir(folder)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)  # noqa: PTH108
                continue
            os.chmod(entry.path, 0o700)  # noqa: PTH101
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)  # noqa: PTH101
                    number += 1
                    os.rename(inner.path, folder / f"{prefix}{number}")  # noqa: PTH104
                else:
                    os.unlink(inner.path)  # noqa: PTH108
            os.rmdir(entry.path)  # noqa: PTH106
    folder.rmdir()

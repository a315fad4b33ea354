"""Pack what is handed in, on any system, and add a text to a file.

pack(Starter.load(ROOT), Path("hand-in.tar.gz"))
"""

import os
import tarfile
from pathlib import Path

from classroom.assignment.rubric import MANIFEST
from classroom.learner.folder import Starter
from shared.errors import UserError

NAME = "hand-in.tar.gz"


def pack(starter: Starter, out: Path) -> None:
    """Pack the files of the exercises and the manifest.

    Raises:
        UserError: one of them is missing, or the archive can't be written.
    """
    files = [*starter.files, MANIFEST]
    for name in files:
        if not (starter.root / name).is_file():
            raise UserError(f"{name} is missing: take it from the assignment again")
    part = out.with_name(f"{out.name}.part")
    try:
        with tarfile.open(part, "w:gz") as archive:
            for name in files:
                archive.add(starter.root / name, name, recursive=False)
        part.replace(out)
    except OSError as error:
        raise UserError(f"{out} can't be written: {os.strerror(error.errno or 0)}") from None


def append(path: Path, text: str) -> None:
    """Add a text to the end of a file.

    Raises:
        UserError: it can't be written.
    """
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path} can't be written: {os.strerror(error.errno or 0)}") from None

"""A submission comes in: a folder or an archive, of which the files that were asked for are read.

    intake = take(Path("ada.zip"), ["step3_rag/retrieve/fuse.py", "step3_rag/ingest/chunk.py"])
    intake.files["step3_rag/retrieve/fuse.py"]      bytes; Python will say whether they are a program
    intake.notes                           what was refused or is missing, for the instructor

The list is the grader's own. Only regular files are read, on a path without symbolic links, and at most 1
MiB of each. Nothing is unpacked onto the disk, so a name in an archive leads nowhere. Whatever is wrong
becomes a note: the only error is a submission that isn't there.

A submission may lie in one folder inside (as `unzip` and GitHub make them), or hold its files without
folders (as some upload forms do).
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from classroom.intake.archives import open_archive
from classroom.intake.harmless import harmless
from classroom.intake.source import MAX_BYTES, Missing, Refused, Source, limited
from shared.errors import UserError

MAX_NOTES = 30
MAX_NAMES = 1_000  # of a folder that are looked at
NESTED = 3  # folders around a submission
MANIFEST = "classroom.json"


@dataclass
class Intake:
    """What is graded."""

    name: str  # of the submission
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    variant: int | None = None  # as its own manifest says: a claim

    def note(self, text: str) -> None:
        """Tell the instructor, not for ever."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(harmless(" ".join(text.split()), 300))


def take(path: Path, wanted: Sequence[str]) -> Intake:
    """Read the wanted files of a submission.

    Raises:
        UserError: there is no such submission.
    """
    must_be_there(path)
    intake = Intake(harmless(Path(os.path.abspath(path)).name, 200) or "submission")  # noqa: PTH100  (no links)
    try:
        source: Source = Folder(path) if path.is_dir() else open_archive(path)
    except Refused as refused:
        intake.note(f"nothing could be read: {refused}")
        return intake
    if source.outside:
        n = len(source.outside)
        intake.note(
            f"{n} name{'s' if n > 1 else ''} would lead outside, as {source.outside[0]!r} does: ignored"
        )
    top = _top(source, wanted)
    if top:
        intake.note(f"the submission lies in the folder {top!r}")
    for name in wanted:
        _take_file(source, top, name, wanted, intake)
    intake.variant = _claimed_variant(source, top)
    return intake


def must_be_there(path: Path) -> None:
    """Refuse a submission that there is not.

    Raises:
        UserError: there is none.
    """
    if not os.path.lexists(path):
        raise UserError(f"there is no submission {str(path)!r}; name a folder, a .zip or a .tar.gz")


def _take_file(source: Source, top: str, name: str, wanted: Sequence[str], intake: Intake) -> None:
    try:
        intake.files[name] = source.read(_join(top, name))
        return
    except Missing:
        pass
    except Refused as refused:
        intake.note(f"{name} was refused: {refused}")
        return
    base = name.rpartition("/")[2]
    if base != name and sum(each.rpartition("/")[2] == base for each in wanted) == 1:
        try:
            intake.files[name] = source.read(_join(top, base))
            intake.note(f"{base} was taken for {name}")
            return
        except Missing:
            pass
        except Refused as refused:
            intake.note(f"{base} was refused: {refused}")
            return
    intake.note(f"{name} is missing: the starter's is graded")


def _top(source: Source, wanted: Sequence[str]) -> str:
    """The folder that the submission lies in; mostly none."""
    top = ""
    for _ in range(NESTED):
        folders, files = source.names(top)
        inside = {each.partition("/")[0] for each in wanted} | {each.rpartition("/")[2] for each in wanted}
        folders = [each for each in folders if not each.startswith((".", "__MACOSX"))]
        if len(folders) != 1 or inside & {*folders, *files}:
            return top
        top = _join(top, folders[0])
    return top


def _claimed_variant(source: Source, top: str) -> int | None:
    try:
        told = json.loads(source.read(_join(top, MANIFEST)))
        return told["variant"] if type(told["variant"]) is int and abs(told["variant"]) < 1 << 63 else None
    except (Refused, ValueError, KeyError, TypeError, RecursionError):
        return None


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


class Folder:
    """A folder on the disk. Each part of a path is opened from the part before, without following links."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.outside: list[str] = []

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        folders, others = [], []
        try:
            handle = self._open(folder, os.O_DIRECTORY) if folder else os.open(self._path, os.O_RDONLY)
        except (OSError, Refused):
            return [], []
        try:
            with os.scandir(handle) as entries:
                for _, entry in zip(range(MAX_NAMES), entries, strict=False):
                    is_folder = entry.is_dir(follow_symlinks=False)
                    (folders if is_folder else others).append(entry.name)
        except OSError:
            return [], []
        finally:
            os.close(handle)
        return folders, others

    def read(self, name: str) -> bytes:
        try:
            handle = self._open(name, os.O_NONBLOCK)  # should a pipe have come to its place, it won't hold us
        except (FileNotFoundError, NotADirectoryError):
            raise Missing("it is not there") from None
        except OSError as error:
            raise Refused(_why(error)) from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Refused("it is no ordinary file")
            with os.fdopen(handle, "rb", closefd=False) as file:
                return limited(file.read(MAX_BYTES + 1))
        except OSError as error:
            raise Refused(_why(error)) from None
        finally:
            os.close(handle)

    def _open(self, name: str, flags: int) -> int:
        handle = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            *folders, last = name.split("/")
            for part in folders:
                inner = self._step(handle, part, os.O_DIRECTORY)
                os.close(handle)
                handle = inner
            return self._step(handle, last, flags)
        finally:
            os.close(handle)

    def _step(self, handle: int, part: str, flags: int) -> int:
        if part in ("", ".", ".."):
            raise Refused("its path leads elsewhere")
        kind = os.stat(part, dir_fd=handle, follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            raise Refused(f"{part} is a symbolic link")
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise Refused("it is no ordinary file")  # to open a device may do something
        return os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=handle)


def _why(error: OSError) -> str:
    return f"it can't be read ({error.strerror or type(error).__name__})"
